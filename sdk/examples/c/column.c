/* A key extractor for values that are lines of columns, as in CSV without quotes: the key is one of the columns.
 *
 * Settings: {"column": 1, "divider": ";"}. Columns are counted from 0, the divider is a comma unless it is given.
 */
#include "strandline_plugin.h"

static uint64_t column;
static uint8_t divider = ',';

static bool init(strandline_text settings, strandline_needs *needs, const char **error) {
    strandline_text given;
    if (!strandline_json_number(settings, "column", &column)) {
        *error = "column is missing: it is the number of the column that is the key, counted from 0";
        return false;
    }
    if (strandline_json_field(settings, "divider", &given)) {
        if (!strandline_json_string(settings, "divider", &given) || given.len != 1) {
            *error = "divider is not a text of one byte";
            return false;
        }
        divider = given.at[0];
    }
    needs->value = STRANDLINE_WHOLE;
    return true;
}

static strandline_found key(const strandline_record *record, strandline_text *key) {
    strandline_text line;
    strandline_piece(record->value, '\n', 0, &line);
    return strandline_piece(line, divider, column, key) ? STRANDLINE_KEY : STRANDLINE_NO_KEY;
}

STRANDLINE_KEY_EXTRACTOR(init, key)
