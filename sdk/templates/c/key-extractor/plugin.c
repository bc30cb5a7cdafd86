/* plugin-name is a key extractor that takes the key of a record from a field of its JSON value. */
#include "strandline_plugin.h"

/* What an operator writes for an attachment, as JSON: {"field": "user"}. */
static char field[64];

static bool init(strandline_text settings, strandline_needs *needs, const char **error) {
    strandline_text name;
    if (!strandline_json_string(settings, "field", &name) || name.len >= sizeof field) {
        *error = "field is missing: it names the field that is the key";
        return false;
    }
    memcpy(field, name.at, name.len);
    field[name.len] = 0;
    /* What key reads of a record: subject, headers, value. */
    needs->value = STRANDLINE_WHOLE;
    return true;
}

/* Asked about every record without a key. */
static strandline_found key(const strandline_record *record, strandline_text *key) {
    uint64_t number;
    if (strandline_json_string(record->value, field, key))
        return STRANDLINE_KEY;
    /* A number's digits, as they stand there. */
    bool is_number = strandline_json_number(record->value, field, &number);
    return is_number && strandline_json_field(record->value, field, key) ? STRANDLINE_KEY : STRANDLINE_NO_KEY;
}

STRANDLINE_KEY_EXTRACTOR(init, key)
