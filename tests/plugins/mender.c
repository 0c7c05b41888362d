/* Fails until the key "mended" of a component's state is there: what becomes a dead letter today can be handled
 * tomorrow. */
#include <cvm/cvm.h>
#include <cvm/json.h>

static int faults_since_load;

static bool is_mended(cvm_turn *t)
{
    const json_t *mended = NULL;
    return cvm_state_get(t, "mended", &mended) == CVM_OK && json_is_true(mended);
}

/* Crashes; mended, it counts and answers with what it knows of the message. */
static int deliver(cvm_turn *t, const cvm_msg *m)
{
    int64_t n;
    if (!is_mended(t))
        *(volatile int *)NULL = 1;
    CVM_TRY(cvm_state_int(t, "delivered", &n));
    CVM_TRY(cvm_state_put_int(t, "delivered", n + 1));
    return cvm_reply(t, m,
                     json_pack("{s:I, s:O, s:s, s:s, s:s}", "delivered", (json_int_t)n + 1, "data",
                               (json_t *)(uintptr_t)m->data, "enquiry", m->enquiry_id, "session", m->session_id,
                               "content", m->content));
}

static int tell(cvm_turn *t, const cvm_msg *m)
{
    CVM_TRY(cvm_send(t, "test.mender", "told", cvm_json_share(m->data)));
    return cvm_reply(t, m, NULL);
}

static int told(cvm_turn *t, const cvm_msg *m)
{
    int64_t n;
    (void)m;
    if (!is_mended(t))
        return CVM_EINVAL;
    CVM_TRY(cvm_state_int(t, "told", &n));
    return cvm_state_put_int(t, "told", n + 1);
}

static int publish(cvm_turn *t, const cvm_msg *m)
{
    CVM_TRY(cvm_publish(t, "test.repairs", cvm_json_share(m->data)));
    return cvm_reply(t, m, NULL);
}

/* Faults as often as the message says, then reads it. */
static int repairs(cvm_turn *t, const cvm_msg *m)
{
    int64_t n;
    if (!is_mended(t) && faults_since_load++ < cvm_json_int(m->data, "faults", 0))
        return CVM_EFAULT;
    faults_since_load = 0;
    CVM_TRY(cvm_state_int(t, "read", &n));
    return cvm_state_put_int(t, "read", n + 1);
}

static int dead_letter(cvm_turn *t, const cvm_msg *m)
{
    return cvm_state_put(t, cvm_json_str(m->data, "type", "?"), cvm_json_share(m->data));
}

static int mourned(cvm_turn *t, const cvm_msg *m)
{
    (void)m;
    return cvm_reply(t, m, NULL);
}

/* clang-format off */
static const cvm_component components[] = {
    {.id = "test.mender", .state_version = 1}, {.id = "test.reader", .state_version = 1},
    {.id = "test.mourner", .state_version = 1}, {0}
};
static const cvm_route routes[] = {
    {"test.mender", "deliver", deliver}, {"test.mender", "once", deliver},
    {"test.mender", "tell", tell}, {"test.mender", "told", told},
    {"test.mender", "publish", publish},
    {"test.reader", "test.repairs", repairs},
    {"test.mourner", "dead-letter", dead_letter}, {"test.mourner", "mourned", mourned},
    {0}
};
/* clang-format on */

CVM_PLUGIN(.name = "mender", .version = "1.0.0", .components = components, .routes = routes);
