/* plugin-name is a filter that passes records whose JSON value has a certain text in one of its fields. */
#include "strandline_plugin.h"

/* What an operator writes for an attachment, as JSON: {"field": "level", "is": "error"}. */
static char field[64];
static strandline_text is;

static bool init(strandline_text settings, strandline_needs *needs, const char **error) {
    strandline_text name;
    if (!strandline_json_string(settings, "field", &name) || name.len >= sizeof field) {
        *error = "field is missing: it names the field to look at";
        return false;
    }
    memcpy(field, name.at, name.len);
    field[name.len] = 0;
    if (!strandline_json_string(settings, "is", &is)) {
        *error = "is is missing: it is the text to look for";
        return false;
    }
    /* What judge reads of a record: key, subject, headers, value. */
    needs->value = STRANDLINE_WHOLE;
    return true;
}

/* Asked about every record. */
static strandline_verdict judge(const strandline_record *record) {
    strandline_text found;
    if (!strandline_json_string(record->value, field, &found))
        return strandline_because(STRANDLINE_DROP, "the field is no text");
    if (!strandline_equal(found, is))
        return strandline_because(STRANDLINE_DROP, "the field is another text");
    return STRANDLINE_PASS;
}

STRANDLINE_FILTER(init, judge)
