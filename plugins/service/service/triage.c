/* TriageAgent: first contact. Checks contact details and finds the language; passes the enquiry on. Loop thread. */
#include "../../common/object.h"
#include "service.h"

int triage_validate_phone(cvm_turn *t, const cvm_msg *m)
{
    char phone[PHONE_SIZE], local[PHONE_SIZE];
    if (phone_normalise(cvm_json_str(m->data, "phone", ""), phone) < 0)
        return cvm_reply(t, m,
                         json_pack("{s:b, s:s}", "valid", 0, "error",
                                   "The phone number is invalid. Write it like 08012345678 or +2348012345678."));
    json_t *body = json_pack("{s:b, s:s, s:s}", "valid", 1, "e164", phone, "local", phone_local(phone, local));
    if (!phone_range_in_use(phone))
        json_object_set_new(body, "warning",
                            json_string("No network uses this range at the moment; please confirm the number."));
    return cvm_reply(t, m, body);
}

int triage_validate_email(cvm_turn *t, const cvm_msg *m)
{
    bool valid = triage_email_form(cvm_json_str(m->data, "email", ""));
    json_t *body = json_pack("{s:b}", "valid", valid);
    if (!valid)
        json_object_set_new(body, "error",
                            json_string("The e-mail address is invalid. Write it like name@example.com."));
    return cvm_reply(t, m, body);
}

static const char *language_of(cvm_turn *t, const char *text)
{
    const struct vocabulary *v = service_vocabulary(t);
    int language = v ? understand_language(v, text) : -1;
    return language >= 0 ? v->languages[language] : "en";
}

static const char *language_name(const char *code)
{
    static const char *const names[][2] = {
        {"pcm", "Nigerian Pidgin"}, {"ha", "Hausa"}, {"yo", "Yoruba"}, {"ig", "Igbo"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(names[i][0], code))
            return names[i][1];
    return "English";
}

int triage_detect_language(cvm_turn *t, const cvm_msg *m)
{
    const char *code = language_of(t, cvm_json_str(m->data, "text", ""));
    return cvm_reply(t, m, json_pack("{s:s, s:s}", "language", code, "name", language_name(code)));
}

int triage_handle(cvm_turn *t, const cvm_msg *m)
{
    const char *code = language_of(t, service_content(m));
    bool phone = *service_context_str(t, "customer_phone"), email = *service_context_str(t, "customer_email");
    CVM_TRY(cvm_context_set(t, "/language", json_string(code)));
    json_t *why = json_object();
    OBJECT_TEXT(why, "chose", "accepted");
    OBJECT_TEXT(why, "language", code);
    OBJECT_PUT(why, "phone", json_boolean(phone));
    OBJECT_PUT(why, "email", json_boolean(email));
    CVM_TRY(cvm_note(t, "decision", why));
    return service_step(t, m, service_content(m), NULL, SERVICE_CLASSIFIER, false);
}
