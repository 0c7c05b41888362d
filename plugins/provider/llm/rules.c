/* provider.llm.rules: the provider that is always there and needs no network. It has no answer, and says so at once, so
 * that whoever asked goes on by rules of its own. Owns nothing. Loop thread. */
#include "llm.h"

int rules_chat(cvm_turn *t, const cvm_msg *m)
{
    const char *reason = cvm_json_str(m->data, "reason", "rules");
    return cvm_reply(t, m,
                     json_pack("{s:s, s:s, s:b, s:s, s:{s:i, s:i, s:i}, s:f, s:I}", "provider", LLM_RULES, "model", "",
                               "fallback_used", 1, "reason", reason, "usage", "input_tokens", 0, "output_tokens", 0,
                               "cached_tokens", 0, "cost_usd", 0.0, "duration_ms",
                               (json_int_t)cvm_json_int(m->data, "elapsed_ms", 0)));
}
