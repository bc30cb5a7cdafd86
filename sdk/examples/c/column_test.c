/* cc -I../../c column_test.c -o column_test && ./column_test */
#include "column.c"
#include "strandline_plugin_test.h"

static strandline_found extract(const char *value, strandline_text *found) {
    strandline_needs needs = {.value = STRANDLINE_WHOLE};
    return strandline_test_extract(key, needs, (strandline_record){.value = strandline_from(value)}, found);
}

static void the_column_is_the_key(void) {
    strandline_needs needs = {0};
    const char *error = NULL;
    strandline_text found;
    strandline_text settings = strandline_from(" { \"divider\" : \";\", \"x\": [{\"column\": 9}], \"column\": 1 } ");
    STRANDLINE_CHECK(init(settings, &needs, &error));
    STRANDLINE_CHECK(needs.value == STRANDLINE_WHOLE && !needs.key);
    STRANDLINE_CHECK(extract("a;bc;d\ne;f;g", &found) == STRANDLINE_KEY);
    STRANDLINE_CHECK(strandline_equal(found, strandline_from("bc")));
    STRANDLINE_CHECK(extract("a;", &found) == STRANDLINE_KEY && found.len == 0);
    STRANDLINE_CHECK(extract("a,b", &found) == STRANDLINE_NO_KEY);
    STRANDLINE_CHECK(extract("", &found) == STRANDLINE_NO_KEY);
}

static void settings_that_do_not_fit_are_refused(void) {
    strandline_needs needs = {0};
    const char *error = NULL;
    STRANDLINE_CHECK(!init(strandline_from("{}"), &needs, &error) && strstr(error, "column is missing"));
    STRANDLINE_CHECK(!init(strandline_from("{\"column\": 1, \"divider\": \"\"}"), &needs, &error));
    STRANDLINE_CHECK(strstr(error, "divider is not a text of one byte"));
    STRANDLINE_CHECK(!init(strandline_from("{\"column"), &needs, &error));
}

int main(void) {
    the_column_is_the_key();
    settings_that_do_not_fit_are_refused();
    puts("2 passed, 0 failed");
    return 0;
}
