/* Filters and key extractors for Strandline, a durable message log for NATS, in C.
 *
 * A plugin is one C file that includes this header, defines an init function and a function on a record, and names
 * them once:
 *
 *     static bool init(strandline_text settings, strandline_needs *needs, const char **error) { ... }
 *     static strandline_verdict judge(const strandline_record *record) { ... }
 *     STRANDLINE_FILTER(init, judge)
 *
 * What it answers about a record depends on nothing but the record and the settings. The texts that it is handed are
 * borrowed: those of a record until the function returns, the settings for ever.
 *
 * The functions are exported under the names and with the layout of docs/plugin-contract.md. Where this file is
 * compiled for something else than WebAssembly, nothing is exported; strandline_plugin_test.h tries plugins there.
 */
#ifndef STRANDLINE_PLUGIN_H
#define STRANDLINE_PLUGIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Any bytes, without a zero at the end. */
typedef struct {
    const uint8_t *at;
    size_t len;
} strandline_text;

/* A record. Only what the plugin needs is there. */
typedef struct {
    strandline_text key; /* at is NULL where the record has none; one that is not needed is empty */
    strandline_text subject;
    strandline_text headers; /* packed: strandline_header finds one */
    strandline_text value;
    size_t value_len; /* of the whole value, whatever is needed of it */
} strandline_record;

/* What is read of a record. The rest is not copied into the plugin, which is most of what a call costs. */
typedef struct {
    bool key;
    bool subject;
    bool headers;
    uint32_t value; /* so many bytes from its start, or STRANDLINE_WHOLE */
} strandline_needs;

#define STRANDLINE_WHOLE UINT32_MAX

typedef enum {
    STRANDLINE_DROP = 0,
    STRANDLINE_PASS = 1,
    STRANDLINE_DEAD_LETTER = 2, /* to the stream's dead letters instead; on the way out of a stream this drops */
    STRANDLINE_FAIL = 3,        /* cannot be judged: the error policy of the attachment decides */
} strandline_verdict;

typedef enum {
    STRANDLINE_NO_KEY, /* the record stays without one */
    STRANDLINE_KEY,
    STRANDLINE_NO_ANSWER, /* the error policy of the attachment decides */
} strandline_found;

typedef enum { STRANDLINE_DEBUG, STRANDLINE_INFO, STRANDLINE_WARN, STRANDLINE_ERROR } strandline_level;

/* Reads the settings, a JSON text, and says what is needed of records. Where it returns false, *error says why, in a
 * sentence for the operator. */
typedef bool strandline_init(strandline_text settings, strandline_needs *needs, const char **error);
typedef strandline_verdict strandline_judge(const strandline_record *record);
/* Sets *key to bytes of the record, which costs nothing, or to any others, which are copied when the function has
 * returned. */
typedef strandline_found strandline_key(const strandline_record *record, strandline_text *key);

/* For authors */

static inline strandline_text strandline_from(const char *text) {
    return (strandline_text){(const uint8_t *)text, strlen(text)};
}

static inline bool strandline_equal(strandline_text a, strandline_text b) {
    return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

/* The piece with that number, counted from 0, of a text that is divided by that byte: a token of a subject, a
 * column. */
static inline bool strandline_piece(strandline_text text, uint8_t divider, size_t index, strandline_text *piece) {
    for (;;) {
        const uint8_t *end = text.len ? memchr(text.at, divider, text.len) : NULL;
        if (index == 0) {
            *piece = (strandline_text){text.at, end ? (size_t)(end - text.at) : text.len};
            return true;
        }
        if (!end)
            return false;
        text.len -= (size_t)(end - text.at) + 1;
        text.at = end + 1;
        index--;
    }
}

static inline uint32_t strandline_word_(const uint8_t *at) {
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

/* The value of the first header of that name. Case matters, as it does to NATS. */
static inline bool strandline_header(const strandline_record *record, const char *name, strandline_text *value) {
    strandline_text rest = record->headers, wanted = strandline_from(name);
    while (rest.len >= 8) {
        uint64_t name_len = strandline_word_(rest.at), value_len = strandline_word_(rest.at + 4);
        if (name_len + value_len > rest.len - 8)
            return false;
        strandline_text found = {rest.at + 8, (size_t)name_len};
        *value = (strandline_text){found.at + name_len, (size_t)value_len};
        if (strandline_equal(found, wanted))
            return true;
        rest.len -= 8 + (size_t)(name_len + value_len);
        rest.at = value->at + value_len;
    }
    return false;
}

/* Steps over a JSON value, and over the white space around it. False where the text breaks off. */
static inline bool strandline_json_step_(strandline_text *rest, strandline_text *value) {
    size_t at = 0, depth = 0;
    while (at < rest->len && strchr(" \t\r\n", rest->at[at]) && rest->at[at])
        at++;
    size_t start = at;
    do {
        if (at >= rest->len)
            return false;
        uint8_t byte = rest->at[at++];
        if (byte == '"') {
            while (at < rest->len && rest->at[at] != '"')
                at += rest->at[at] == '\\' ? 2 : 1;
            if (at++ >= rest->len)
                return false;
        } else if (byte == '{' || byte == '[') {
            depth++;
        } else if (byte == '}' || byte == ']') {
            if (depth == 0)
                return false;
            depth--;
        } else if (depth == 0) {
            while (at < rest->len && !memchr(",:]} \t\r\n", rest->at[at], 8))
                at++;
        }
    } while (depth > 0);
    *value = (strandline_text){rest->at + start, at - start};
    while (at < rest->len && memchr(" \t\r\n", rest->at[at], 4))
        at++;
    *rest = (strandline_text){rest->at + at, rest->len - at};
    return true;
}

/* The field of that name of a JSON object, as it stands in the text: a string keeps its quotes and escapes. A name
 * with escapes in the text is not found. */
static inline bool strandline_json_field(strandline_text object, const char *name, strandline_text *value) {
    strandline_text rest = object, wanted = strandline_from(name), found;
    while (rest.len && memchr(" \t\r\n", *rest.at, 4))
        rest.at++, rest.len--;
    if (!rest.len || *rest.at != '{')
        return false;
    do {
        rest.at++, rest.len--;
        if (!strandline_json_step_(&rest, &found) || found.len < 2 || *found.at != '"' || !rest.len || *rest.at != ':')
            return false;
        rest.at++, rest.len--;
        if (!strandline_json_step_(&rest, value))
            return false;
        if (strandline_equal((strandline_text){found.at + 1, found.len - 2}, wanted))
            return true;
    } while (rest.len && *rest.at == ',');
    return false;
}

/* The field of that name, if it is a string without escapes. */
static inline bool strandline_json_string(strandline_text object, const char *name, strandline_text *text) {
    if (!strandline_json_field(object, name, text) || *text->at != '"')
        return false;
    *text = (strandline_text){text->at + 1, text->len - 2};
    return text->len == 0 || !memchr(text->at, '\\', text->len);
}

/* The field of that name, if it is a whole number from 0 on. */
static inline bool strandline_json_number(strandline_text object, const char *name, uint64_t *number) {
    strandline_text digits;
    if (!strandline_json_field(object, name, &digits))
        return false;
    *number = 0;
    for (size_t at = 0; at < digits.len; at++) {
        if (digits.at[at] < '0' || digits.at[at] > '9' || *number > (UINT64_MAX - 9) / 10)
            return false;
        *number = *number * 10 + (digits.at[at] - '0');
    }
    return true;
}

static struct {
    bool wanted;
    const char *given;
} strandline_reason_;

/* Says why the record at hand gets its verdict, for the person who asks why records are dropped. The text has to stay
 * as it is. */
static inline strandline_verdict strandline_because(strandline_verdict verdict, const char *reason) {
    if (strandline_reason_.wanted)
        strandline_reason_.given = reason;
    return verdict;
}

#ifdef __wasm__
__attribute__((import_module("strandline:plugin/log@1.0.0"), import_name("write"))) void
strandline_log_write_(uint32_t level, const char *message, size_t len);
#else
#include <stdio.h>
static inline void strandline_log_write_(uint32_t level, const char *message, size_t len) {
    fprintf(stderr, "plugin log, level %u: %.*s\n", level, (int)len, message);
}
#endif

/* Writes a message, which is UTF-8, for the operator. The host limits rate and length. */
static inline void strandline_log(strandline_level level, const char *message) {
    strandline_log_write_(level, message, strlen(message));
}

/* The packed bytes */

typedef struct {
    uint8_t *at;
    size_t len;
    size_t capacity;
} strandline_buffer_;

/* Ends the call as failed where there is no memory. */
static inline void strandline_append_(strandline_buffer_ *buffer, const void *bytes, size_t len) {
    if (len == 0)
        return;
    if (buffer->capacity - buffer->len < len) {
        buffer->capacity = 2 * buffer->capacity + len;
        buffer->at = realloc(buffer->at, buffer->capacity);
        if (!buffer->at)
            abort();
    }
    memcpy(buffer->at + buffer->len, bytes, len);
    buffer->len += len;
}

/* Takes the next record off the batch, whose fixed parts are so long. False where the batch is not as the contract
 * says. */
static inline bool strandline_next_(strandline_text *batch, uint32_t fixed, strandline_record *record) {
    if (batch->len < fixed)
        return false;
    const uint8_t *at = batch->at;
    uint64_t length = strandline_word_(at), key = strandline_word_(at + 4), subject = strandline_word_(at + 8);
    uint64_t headers = strandline_word_(at + 12), value = strandline_word_(at + 16);
    bool has_key = key != UINT32_MAX;
    if (!has_key)
        key = 0;
    if (length > batch->len || fixed + key + subject + headers + value != length)
        return false;
    at += fixed;
    record->value_len = strandline_word_(batch->at + 20);
    record->key = (strandline_text){has_key ? at : NULL, (size_t)key};
    record->subject = (strandline_text){at += key, (size_t)subject};
    record->headers = (strandline_text){at += subject, (size_t)headers};
    record->value = (strandline_text){at += headers, (size_t)value};
    *batch = (strandline_text){batch->at + length, batch->len - (size_t)length};
    return true;
}

/* Takes the head off a batch. */
static inline bool strandline_head_(strandline_text *batch, uint32_t *count, uint32_t *fixed) {
    if (batch->len < 8)
        return false;
    *count = strandline_word_(batch->at);
    *fixed = strandline_word_(batch->at + 4);
    *batch = (strandline_text){batch->at + 8, batch->len - 8};
    return *fixed >= 24;
}

/* The verdicts of a batch: none where it is malformed, which the host takes for a failure. */
static inline void strandline_judge_(strandline_judge *judge, strandline_text batch, strandline_buffer_ *verdicts) {
    uint32_t count, fixed;
    strandline_record record;
    bool well_formed = strandline_head_(&batch, &count, &fixed);
    verdicts->len = 0;
    while (well_formed && count-- > 0) {
        well_formed = strandline_next_(&batch, fixed, &record);
        if (well_formed) {
            uint8_t verdict = (uint8_t)judge(&record);
            strandline_append_(verdicts, &verdict, 1);
        }
    }
    if (!well_formed || batch.len)
        verdicts->len = 0;
}

/* The reasons of a batch, as pairs of address and length. */
static inline void strandline_explain_(strandline_judge *judge, strandline_text batch, strandline_buffer_ *reasons) {
    uint32_t count, fixed;
    strandline_record record;
    reasons->len = 0;
    if (!strandline_head_(&batch, &count, &fixed))
        return;
    strandline_reason_.wanted = true;
    while (count-- > 0 && strandline_next_(&batch, fixed, &record)) {
        strandline_reason_.given = "";
        judge(&record);
        size_t place[2] = {(size_t)strandline_reason_.given, strlen(strandline_reason_.given)};
        strandline_append_(reasons, place, sizeof place);
    }
    strandline_reason_.wanted = false;
}

/* The spans of a batch, and the keys that do not stand in it. */
static inline void strandline_extract_(strandline_key *extract, strandline_text batch, strandline_buffer_ *spans) {
    static strandline_buffer_ literals;
    uint32_t count, fixed;
    strandline_record record;
    strandline_text whole = batch;
    bool well_formed = strandline_head_(&batch, &count, &fixed);
    spans->len = literals.len = 0;
    while (well_formed && count-- > 0) {
        strandline_text key = {NULL, 0};
        uint32_t span[2] = {UINT32_MAX, 0};
        well_formed = strandline_next_(&batch, fixed, &record);
        strandline_found found = well_formed ? extract(&record, &key) : STRANDLINE_NO_ANSWER;
        if (found == STRANDLINE_NO_KEY)
            span[1] = UINT32_MAX;
        if (found == STRANDLINE_KEY) {
            size_t start = (uintptr_t)key.at - (uintptr_t)whole.at;
            if (start > whole.len || key.len > whole.len - start) {
                start = whole.len + literals.len;
                strandline_append_(&literals, key.at, key.len);
            }
            span[0] = (uint32_t)start;
            span[1] = (uint32_t)(start + key.len);
        }
        strandline_append_(spans, span, sizeof span);
    }
    strandline_append_(spans, literals.at, literals.len);
    if (!well_formed || batch.len)
        spans->len = 0;
}

/* The exports */

#ifdef __wasm__

/* Where results lie that do not fit a register. */
static uint32_t strandline_result_[4];

__attribute__((export_name("cabi_realloc"))) void *
strandline_realloc_(void *old, size_t old_len, size_t align, size_t len) {
    (void)old_len;
    if (len == 0)
        return (void *)align;
    void *new = realloc(old, len);
    if (!new)
        abort();
    return new;
}

/* Only a text that is not empty was given by strandline_realloc_. */
static inline void strandline_free_(uint8_t *at, size_t len) {
    if (len)
        free(at);
}

static inline uint32_t *strandline_list_(const void *at, size_t len) {
    strandline_result_[0] = (uint32_t)at;
    strandline_result_[1] = len;
    return strandline_result_;
}

static inline uint32_t *strandline_init_(strandline_init *init, strandline_text settings) {
    strandline_needs needs = {0};
    const char *error = "the settings do not fit";
    if (init(settings, &needs, &error)) {
        strandline_result_[0] = 0;
        strandline_result_[1] = (uint32_t)needs.key | (uint32_t)needs.subject << 8 | (uint32_t)needs.headers << 16;
        strandline_result_[2] = needs.value == 0 ? 0 : needs.value == STRANDLINE_WHOLE ? 2 : 1;
        strandline_result_[3] = needs.value;
    } else {
        strandline_result_[0] = 1;
        strandline_result_[1] = (uint32_t)error;
        strandline_result_[2] = strlen(error);
    }
    return strandline_result_;
}

#define STRANDLINE_EXPORT_(name, function) __attribute__((export_name(name))) uint32_t *function(uint8_t *at, size_t len)

#define STRANDLINE_FILTER(init, judge)                                                                                \
    STRANDLINE_EXPORT_("strandline:plugin/filtering@1.0.0#init", strandline_export_init_) {                           \
        return strandline_init_(init, (strandline_text){at, len});                                                    \
    }                                                                                                                 \
    STRANDLINE_EXPORT_("strandline:plugin/filtering@1.0.0#judge", strandline_export_judge_) {                         \
        static strandline_buffer_ verdicts;                                                                           \
        strandline_judge_(judge, (strandline_text){at, len}, &verdicts);                                              \
        strandline_free_(at, len);                                                                                    \
        return strandline_list_(verdicts.at, verdicts.len);                                                           \
    }                                                                                                                 \
    STRANDLINE_EXPORT_("strandline:plugin/filtering@1.0.0#explain", strandline_export_explain_) {                     \
        static strandline_buffer_ reasons;                                                                            \
        strandline_explain_(judge, (strandline_text){at, len}, &reasons);                                             \
        strandline_free_(at, len);                                                                                    \
        return strandline_list_(reasons.at, reasons.len / 8);                                                         \
    }

#define STRANDLINE_KEY_EXTRACTOR(init, key)                                                                           \
    STRANDLINE_EXPORT_("strandline:plugin/extraction@1.0.0#init", strandline_export_init_) {                          \
        return strandline_init_(init, (strandline_text){at, len});                                                    \
    }                                                                                                                 \
    STRANDLINE_EXPORT_("strandline:plugin/extraction@1.0.0#extract", strandline_export_extract_) {                    \
        static strandline_buffer_ spans;                                                                              \
        strandline_extract_(key, (strandline_text){at, len}, &spans);                                                 \
        strandline_free_(at, len);                                                                                    \
        return strandline_list_(spans.at, spans.len);                                                                 \
    }

#else

#define STRANDLINE_FILTER(init, judge)
#define STRANDLINE_KEY_EXTRACTOR(init, key)

#endif

#endif
