/* cc -I strandline/c plugin_test.c -o plugin_test && ./plugin_test */
#include "plugin.c"
#include "strandline_plugin_test.h"

static strandline_verdict verdict(const char *value) {
    strandline_needs needs = {.value = STRANDLINE_WHOLE};
    return strandline_test_judge(judge, needs, (strandline_record){.value = strandline_from(value)});
}

int main(void) {
    strandline_needs needs = {0};
    const char *error = NULL;
    STRANDLINE_CHECK(!init(strandline_from("{}"), &needs, &error) && strstr(error, "field is missing"));
    STRANDLINE_CHECK(init(strandline_from("{\"field\": \"level\", \"is\": \"error\"}"), &needs, &error));
    STRANDLINE_CHECK(verdict("{\"level\": \"error\", \"text\": \"disk full\"}") == STRANDLINE_PASS);
    STRANDLINE_CHECK(verdict("{\"level\": \"info\"}") == STRANDLINE_DROP);
    STRANDLINE_CHECK(verdict("no JSON") == STRANDLINE_DROP);
    puts("passed");
    return 0;
}
