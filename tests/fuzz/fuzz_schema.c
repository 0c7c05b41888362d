/* [schema, value, value ..]: compiles the schema and checks the values against it. */
#include "fuzz.h"

#include "core/schema.h"
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *document = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, NULL), *value;
    struct schema *schema = NULL;
    struct schema_error error = {0}, quoted = {0};
    size_t i;
    const json_t *node = json_array_get(document, 0);
    if (node && schema_compile(node, node, &schema, &error) < 0)
        FUZZ_CHECK(error.text[0]);
    json_array_foreach(document, i, value)
    {
        if (!schema || i == 0)
            continue;
        int e = schema_check(schema, value, &error);
        FUZZ_CHECK(e == schema_check_quoting(schema, value, &quoted));
        FUZZ_CHECK(e == 0 || (error.text[0] && quoted.text[0]));
    }
    schema_free(schema);
    json_decref(document);
    return 0;
}
