/* Counts what a process asks of the allocator and what it copies. Loaded before the C library (LD_PRELOAD), it hands every call
 * on to the library and counts it in the file that STRUCTURE_COUNTS names, which whoever wants to know maps too.
 *
 * A copy that the compiler makes in place, of a size that it knows, is no call and is not seen. */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* The library's own entrances. */
void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);
void *__libc_memalign(size_t, size_t);
void *__memcpy_chk(void *, const void *, size_t, size_t);
void *__memmove_chk(void *, const void *, size_t, size_t);

/* The layout of the file; harness/counted.py reads it. Class n holds sizes from 2^n up to, not including, 2^(n+1). */
struct calls {
    uint64_t number[64];
    uint64_t bytes[64];
};

struct counts {
    struct calls allocations;
    struct calls copies;
};

static struct counts before_main;
static struct counts *counts = &before_main;

static void count(struct calls *calls, size_t bytes) {
    int class = bytes == 0 ? 0 : 63 - __builtin_clzl(bytes);
    __atomic_fetch_add(&calls->number[class], 1, __ATOMIC_RELAXED);
    __atomic_fetch_add(&calls->bytes[class], bytes, __ATOMIC_RELAXED);
}

static void fail(const char *why) {
    (void)!write(STDERR_FILENO, why, strlen(why));
    _exit(70);
}

__attribute__((constructor)) static void share(void) {
    const char *path = getenv("STRUCTURE_COUNTS");
    int file = path == NULL ? -1 : open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0 || ftruncate(file, sizeof(struct counts)) != 0)
        fail("counts: STRUCTURE_COUNTS names no file that can be written\n");
    void *shared = mmap(NULL, sizeof(struct counts), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (shared == MAP_FAILED)
        fail("counts: the file cannot be mapped\n");
    close(file);
    counts = shared;
}

void *malloc(size_t bytes) {
    count(&counts->allocations, bytes);
    return __libc_malloc(bytes);
}

void *calloc(size_t items, size_t bytes) {
    count(&counts->allocations, items * bytes);
    return __libc_calloc(items, bytes);
}

void *realloc(void *old, size_t bytes) {
    /* A copy wherever the memory grows: whether it can grow where it lies is luck. */
    size_t held = old == NULL ? 0 : malloc_usable_size(old);
    if (held > 0 && held < bytes)
        count(&counts->copies, held);
    count(&counts->allocations, bytes);
    return __libc_realloc(old, bytes);
}

void *memalign(size_t alignment, size_t bytes) {
    count(&counts->allocations, bytes);
    return __libc_memalign(alignment, bytes);
}

void *aligned_alloc(size_t alignment, size_t bytes) {
    return memalign(alignment, bytes);
}

int posix_memalign(void **out, size_t alignment, size_t bytes) {
    void *new = memalign(alignment, bytes);
    if (new == NULL)
        return ENOMEM;
    *out = new;
    return 0;
}

void *memcpy(void *restrict to, const void *restrict from, size_t bytes) {
    count(&counts->copies, bytes);
    return __memcpy_chk(to, from, bytes, SIZE_MAX);
}

void *memmove(void *to, const void *from, size_t bytes) {
    count(&counts->copies, bytes);
    return __memmove_chk(to, from, bytes, SIZE_MAX);
}
