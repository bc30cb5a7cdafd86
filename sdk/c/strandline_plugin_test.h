/* Tries plugins natively, through the packed bytes that a host gives and takes. Include it after the plugin's own C
 * file. */
#ifndef STRANDLINE_PLUGIN_TEST_H
#define STRANDLINE_PLUGIN_TEST_H

#include <stdio.h>

#include "strandline_plugin.h"

/* Ends the test with a message unless that holds. */
#define STRANDLINE_CHECK(holds)                                                                                       \
    do {                                                                                                              \
        if (!(holds)) {                                                                                               \
            fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #holds);                                 \
            exit(1);                                                                                                  \
        }                                                                                                             \
    } while (0)

static inline void strandline_test_word_(strandline_buffer_ *batch, size_t number) {
    uint8_t word[4] = {(uint8_t)number, (uint8_t)(number >> 8), (uint8_t)(number >> 16), (uint8_t)(number >> 24)};
    strandline_append_(batch, word, sizeof word);
}

/* The batch of one record that a host makes of it. The headers are packed as strandline_header reads them. */
static inline strandline_text strandline_test_pack(strandline_needs needs, strandline_record record) {
    static strandline_buffer_ batch;
    strandline_text none = {NULL, 0};
    strandline_text parts[4] = {
        needs.key ? record.key : none,
        needs.subject ? record.subject : none,
        needs.headers ? record.headers : none,
        record.value,
    };
    if (parts[3].len > needs.value)
        parts[3].len = needs.value;
    size_t key_len = record.key.at ? parts[0].len : UINT32_MAX;
    batch.len = 0;
    strandline_test_word_(&batch, 1);
    strandline_test_word_(&batch, 24);
    strandline_test_word_(&batch, 24 + parts[0].len + parts[1].len + parts[2].len + parts[3].len);
    strandline_test_word_(&batch, key_len);
    for (int part = 1; part < 4; part++)
        strandline_test_word_(&batch, parts[part].len);
    strandline_test_word_(&batch, record.value.len);
    for (int part = 0; part < 4; part++)
        strandline_append_(&batch, parts[part].at, parts[part].len);
    return (strandline_text){batch.at, batch.len};
}

/* The verdict of a filter on a record. */
static inline strandline_verdict strandline_test_judge(
    strandline_judge *judge, strandline_needs needs, strandline_record record) {
    static strandline_buffer_ verdicts;
    strandline_judge_(judge, strandline_test_pack(needs, record), &verdicts);
    STRANDLINE_CHECK(verdicts.len == 1);
    return (strandline_verdict)verdicts.at[0];
}

/* What a key extractor says of a record. */
static inline strandline_found strandline_test_extract(
    strandline_key *extract, strandline_needs needs, strandline_record record, strandline_text *key) {
    static strandline_buffer_ spans;
    strandline_text batch = strandline_test_pack(needs, record);
    strandline_extract_(extract, batch, &spans);
    STRANDLINE_CHECK(spans.len >= 8);
    uint32_t start = strandline_word_(spans.at), end = strandline_word_(spans.at + 4);
    if (start == UINT32_MAX)
        return end == UINT32_MAX ? STRANDLINE_NO_KEY : STRANDLINE_NO_ANSWER;
    const uint8_t *at = start < batch.len ? batch.at + start : spans.at + 8 + (start - batch.len);
    *key = (strandline_text){at, end - start};
    return STRANDLINE_KEY;
}

#endif
