/* Three components that hear the topic test.news and one another: what each heard is a durable counter. */
#include <cvm/cvm.h>
#include <cvm/json.h>

#define TOPIC "test.news"

static int publish(cvm_turn *t, const cvm_msg *m)
{
    CVM_TRY(cvm_publish(t, TOPIC, cvm_json_share(m->data)));
    return cvm_reply(t, m, json_pack("{s:b}", "published", 1));
}

/* The same by its other name: a message to BROADCAST. */
static int shout(cvm_turn *t, const cvm_msg *m)
{
    CVM_TRY(cvm_send(t, "BROADCAST", TOPIC, cvm_json_share(m->data)));
    return cvm_reply(t, m, json_pack("{s:b}", "published", 1));
}

static int hear(cvm_turn *t, const cvm_msg *m)
{
    int64_t n;
    CVM_TRY(cvm_state_int(t, "heard", &n));
    cvm_log(t, CVM_LOG_INFO, "%s heard from %s", m->recipient, m->sender);
    if (cvm_json_bool(m->data, "fail", false))
        return CVM_EINVAL;
    return cvm_state_put_int(t, "heard", n + 1);
}

static int heard(cvm_turn *t, const cvm_msg *m)
{
    int64_t n;
    CVM_TRY(cvm_state_int(t, "heard", &n));
    return cvm_reply(t, m, json_pack("{s:I}", "heard", (json_int_t)n));
}

/* clang-format off */
static const cvm_component components[] = {
    {.id = "test.echo_a", .state_version = 1}, {.id = "test.echo_b", .state_version = 1},
    {.id = "test.echo_c", .state_version = 1}, {0}
};
static const cvm_route routes[] = {
    {"test.echo_a", "publish", publish}, {"test.echo_a", "shout", shout},
    {"test.echo_a", TOPIC, hear}, {"test.echo_a", "heard", heard},
    {"test.echo_b", TOPIC, hear}, {"test.echo_b", "heard", heard},
    {"test.echo_c", TOPIC, hear}, {"test.echo_c", "heard", heard},
    {0}
};
/* clang-format on */

CVM_PLUGIN(.name = "echo", .version = "1.0.0", .components = components, .routes = routes);
