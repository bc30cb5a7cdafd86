/* cc -I strandline/c plugin_test.c -o plugin_test && ./plugin_test */
#include "plugin.c"
#include "strandline_plugin_test.h"

static strandline_found extract(const char *value, strandline_text *found) {
    strandline_needs needs = {.value = STRANDLINE_WHOLE};
    return strandline_test_extract(key, needs, (strandline_record){.value = strandline_from(value)}, found);
}

int main(void) {
    strandline_needs needs = {0};
    const char *error = NULL;
    strandline_text found;
    STRANDLINE_CHECK(!init(strandline_from("{}"), &needs, &error) && strstr(error, "field is missing"));
    STRANDLINE_CHECK(init(strandline_from("{\"field\": \"user\"}"), &needs, &error));
    STRANDLINE_CHECK(extract("{\"user\": \"ada\"}", &found) == STRANDLINE_KEY);
    STRANDLINE_CHECK(strandline_equal(found, strandline_from("ada")));
    STRANDLINE_CHECK(extract("{\"user\": 17}", &found) == STRANDLINE_KEY);
    STRANDLINE_CHECK(strandline_equal(found, strandline_from("17")));
    STRANDLINE_CHECK(extract("{\"login\": \"ada\"}", &found) == STRANDLINE_NO_KEY);
    puts("passed");
    return 0;
}
