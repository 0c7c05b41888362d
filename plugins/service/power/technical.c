/* PowerTechnicalAgent: loading tokens, faults of meters, outages. Loop thread. */
#include "power.h"

int technical_token_help(cvm_turn *t, const cvm_msg *m)
{
    char text[POWER_LONG_SIZE];
    const char *brand = cvm_json_str(m->data, "brand", "");
    token_help_text(brand, text, sizeof text);
    return cvm_reply(t, m,
                     json_pack("{s:s, s:s, s:[s, s, s, s]}", "brand", token_help_brand(brand), "text", text, "steps",
                               "Go to the keypad", "Enter the token", "Press ENTER or #", "Wait for the beep"));
}

int technical_report_fault(cvm_turn *t, const cvm_msg *m)
{
    return case_operation(t, m, "METER_FAULT");
}

int technical_report_outage(cvm_turn *t, const cvm_msg *m)
{
    return case_operation(t, m, "OUTAGE");
}

int technical_case(cvm_turn *t, const cvm_msg *m)
{
    return pending_resume(t, m, case_validated);
}

/* ---- a step of a conversation ---- */

static int help(cvm_turn *t, const cvm_msg *m, const char *words)
{
    char text[POWER_LONG_SIZE];
    token_help_text(words, text, sizeof text);
    CVM_TRY(cvm_note(t, "decision", json_pack("{s:s, s:s}", "chose", "token help", "brand", token_help_brand(words))));
    return step_say(t, m->id, text, json_pack("{s:b}", "answered", 1), "service.qa");
}

int technical_handle(cvm_turn *t, const cvm_msg *m)
{
    static const char *const tokens[] = {"token", "tokens", "units", "recharge", "loading", "load", "keypad", NULL};
    static const char *const brands[] = {"hexing", "mojec", "conlog", NULL};
    static const char *const meters[] = {"meter fault", "faulty meter", "meter is faulty", NULL};
    const char *words = step_words(t, m);
    bool about_token =
        power_leaf(t, "token loading error") || words_have_any(words, tokens) || words_have_any(words, brands);
    if (hold_cue(t, "danger"))
        return case_step(t, m, "DANGER",
                         "Please keep everybody well away from it, touch nothing, and call the fire service on 112 if "
                         "it burns.");
    if (words_have(words, "help token"))
        return help(t, m, words);
    if (words_have_any(words, meters) || (hold_cue(t, "meter_fault") && !power_leaf(t, "token loading error")))
        return case_step(t, m, "METER_FAULT", "");
    if (about_token && !hold_cue(t, "no_supply"))
        return help(t, m, words);
    return case_step(t, m, "OUTAGE", "Please switch off what could be damaged when the supply returns.");
}
