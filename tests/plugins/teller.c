/* Publishes what it is told to, on a topic that nobody but a stream carries; its pages are files of each kind. */
#include <cvm/cvm.h>
#include <cvm/json.h>

#include <string.h>

#define TEXT_MAX 60000

/* {"n": events, "size": bytes of each, "topic", "fail": nothing shall come of it} */
static int tell(cvm_turn *t, const cvm_msg *m)
{
    static const char filler[] = "abcdefghijklmnopqrstuvwxyz";
    char text[TEXT_MAX + 1];
    int64_t n = cvm_json_int(m->data, "n", 1), size = cvm_json_int(m->data, "size", 10);
    const char *topic = cvm_json_str(m->data, "topic", "test.told");
    size = size < 0 ? 0 : size > TEXT_MAX ? TEXT_MAX : size;
    for (int64_t i = 0; i < size; i++)
        text[i] = filler[i % 26];
    text[size] = 0;
    for (int64_t i = 0; i < n; i++)
        CVM_TRY(cvm_publish(t, topic,
                            json_pack("{s:I, s:I, s:s}", "i", (json_int_t)i, "tag",
                                      (json_int_t)cvm_json_int(m->data, "tag", 0), "text", text)));
    if (cvm_json_bool(m->data, "fail", false))
        return CVM_EINVAL;
    return cvm_reply(t, m, json_pack("{s:I}", "told", (json_int_t)n));
}

static const cvm_component components[] = {{.id = "test.teller", .state_version = 1}, {0}};

static const cvm_route routes[] = {{"test.teller", "tell", tell}, {"test.teller", "whisper", tell}, {0}};

CVM_PLUGIN(.name = "teller", .version = "1.0.0", .components = components, .routes = routes);
