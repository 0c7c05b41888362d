/* Asks for secrets: its own, and those of others. Answers whether it got them, never what they are. */
#include <cvm/cvm.h>
#include <cvm/json.h>

static int ask(cvm_turn *t, const cvm_msg *m)
{
    const char *value = NULL;
    int e = cvm_secret(t, cvm_json_str(m->data, "name", "TEST_OTHER_SECRET"), &value);
    return cvm_reply(t, m, json_pack("{s:b, s:i, s:s}", "got", value != NULL, "error", e, "text", cvm_strerror(e)));
}

static const cvm_component components[] = {{.id = "test.secretive", .state_version = 1}, {0}};
static const cvm_route routes[] = {{"test.secretive", "ask", ask}, {0}};

CVM_PLUGIN(.name = "secretive", .version = "1.0.0", .components = components, .routes = routes);
