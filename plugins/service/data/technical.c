/* DataTechnicalAgent: settings of telephones, slow lines, the state of the networks. Loop thread. */
#include "data.h"

static const char tips[] =
    "Switch flight mode on for 10 seconds and off again; choose 4G or LTE under mobile networks; check that "
    "the data saver and a VPN are off; restart the phone.";

/* ---- settings ---- */

int technical_apn(cvm_turn *t, const cvm_msg *m)
{
    struct networks networks;
    struct line line;
    networks_read(cvm_settings(t), &networks);
    CVM_TRY(line_of_request(t, m, &networks, &line));
    json_t *body = apn_settings(cvm_settings(t), line.network, cvm_json_str(m->data, "device", ""));
    return body ? cvm_reply(t, m, body)
                : cvm_refuse(t, "NOT_AVAILABLE", "network", "no settings are known for this network");
}

static int apn_step(cvm_turn *t, const cvm_msg *m, const char *words)
{
    struct networks networks;
    struct line line;
    networks_read(cvm_settings(t), &networks);
    line_of_step(t, &networks, &line);
    json_t *body = *line.network ? apn_settings(cvm_settings(t), line.network, apn_device(words)) : NULL;
    if (!body)
        return step_ask(t, m->id, "Which network is the line on: MTN, AIRTEL, GLO or 9MOBILE?", "needs_input",
                        json_pack("[s]", "network"));
    CVM_TRY(cvm_note(t, "decision", json_pack("{s:s, s:s}", "chose", "settings", "network", line.network)));
    char text[DATA_LONG_SIZE];
    snprintf(text, sizeof text, "%s", cvm_json_str(body, "text", ""));
    return step_say(t, m->id, text, json_pack("{s:b, s:o}", "answered", 1, "apn", body), "service.qa");
}

/* ---- the network, then the line ---- */

static int ask(cvm_turn *t, const cvm_msg *m, const char *kind)
{
    struct networks networks;
    struct line line;
    networks_read(cvm_settings(t), &networks);
    CVM_TRY(line_of_request(t, m, &networks, &line));
    if (!*line.phone && strcmp(kind, "diagnose") == 0)
        return cvm_refuse(t, "PHONE", "phone", "say whose line it is");
    int e = line_ask(t, m->id, &line, "network_status", json_pack("{s:s}", "kind", kind));
    return e == CVM_ENOENT ? cvm_refuse(t, "NOT_AVAILABLE", "network", "no provider is loaded for this network") : e;
}

int technical_network(cvm_turn *t, const cvm_msg *m)
{
    return ask(t, m, "network");
}

int technical_diagnose(cvm_turn *t, const cvm_msg *m)
{
    return ask(t, m, "diagnose");
}

/* Ends the operation or the step. `cause` is network, no_data, device or unknown. */
static int finish(cvm_turn *t, cvm_id request, const json_t *what, const char *cause, const char *text)
{
    CVM_TRY(cvm_note(t, "decision", json_pack("{s:s, s:s}", "chose", "diagnosis", "cause", cause)));
    if (cvm_json_bool(what, "step", false))
        return step_say(t, request, text, json_pack("{s:b, s:s}", "answered", 1, "cause", cause), "service.qa");
    return step_settle(
        t, request, CVM_REPLIED,
        json_pack("{s:s, s:s, s:s}", "network", cvm_json_str(what, "network", ""), "cause", cause, "text", text));
}

static int network_told(cvm_turn *t, const cvm_msg *m, const json_t *what)
{
    char text[DATA_LONG_SIZE];
    const char *network = cvm_json_str(what, "network", ""), *status = cvm_json_str(m->data, "status", "");
    const char *message = cvm_json_str(m->data, "message", "");
    bool diagnose = strcmp(cvm_json_str(what, "kind", ""), "network") != 0;
    struct line line = {.own = true};
    if (!diagnose && m->outcome != CVM_REPLIED)
        return step_settle(t, m->on_behalf, m->outcome, cvm_json_share(m->data));
    if (!diagnose)
        return step_settle(t, m->on_behalf, CVM_REPLIED,
                           json_pack("{s:s, s:s, s:s}", "network", network, "status", status, "message", message));
    if (strcmp(status, "degraded") == 0 || strcmp(status, "outage") == 0) {
        snprintf(text, sizeof text,
                 "%s has %s near this line: %.300s It is not your phone; please try again after that.", network,
                 strcmp(status, "outage") == 0 ? "an outage" : "trouble", message);
        return finish(t, m->on_behalf, what, "network", text);
    }
    snprintf(line.network, sizeof line.network, "%s", network);
    if (phone_normalise(cvm_json_str(what, "phone", ""), line.phone) < 0) {
        snprintf(text, sizeof text, "%s. %s",
                 *status ? "The network works as it should" : "The network cannot be asked now", tips);
        return finish(t, m->on_behalf, what, *status ? "device" : "unknown", text);
    }
    json_t *next = json_pack("{s:s, s:b, s:b}", "kind", "line", "step", cvm_json_bool(what, "step", false), "known",
                             m->outcome == CVM_REPLIED);
    int e = line_ask(t, m->on_behalf, &line, "line_balance", next);
    return e == CVM_PENDING ? CVM_OK : e;
}

int technical_network_told(cvm_turn *t, const cvm_msg *m)
{
    return pending_resume(t, m, network_told);
}

static int line_told(cvm_turn *t, const cvm_msg *m, const json_t *what)
{
    char text[DATA_LONG_SIZE], left[24];
    const char *network = cvm_json_str(what, "network", ""), *phone = cvm_json_str(what, "phone", "");
    bool known = cvm_json_bool(what, "known", false);
    int64_t mb = m->outcome == CVM_REPLIED ? cvm_json_int(m->data, "data_mb", 0) : -1;
    if (mb == 0) {
        snprintf(text, sizeof text,
                 "%s on %s has no data left, so nothing opens. Buy a bundle, or dial *312# on the line.", phone,
                 network);
        return finish(t, m->on_behalf, what, "no_data", text);
    }
    size_t at = (size_t)snprintf(text, sizeof text,
                                 known ? "%s works as it should here" : "%s cannot be asked at the moment", network);
    if (mb > 0)
        at += (size_t)snprintf(text + at, sizeof text - at, ", and %s has %s of data left", phone,
                               data_size_text(mb, left));
    snprintf(text + at, sizeof text - at,
             ". %s If it stays like this, write APN for the right settings, or tell me the place and since when.",
             tips);
    return finish(t, m->on_behalf, what, known ? "device" : "unknown", text);
}

int technical_line_told(cvm_turn *t, const cvm_msg *m)
{
    return pending_resume(t, m, line_told);
}

/* ---- a step of a conversation ---- */

int technical_handle(cvm_turn *t, const cvm_msg *m)
{
    static const char *const settings[] = {
        "apn", "access point", "internet settings", "configure", "configuration", "manual settings", NULL};
    struct networks networks;
    struct line line;
    const char *words = step_words(t, m);
    if (data_leaf(t, "APN help") || words_have_any(words, settings))
        return apn_step(t, m, words);
    networks_read(cvm_settings(t), &networks);
    line_of_step(t, &networks, &line);
    if (!*line.network)
        return apn_step(t, m, words);
    if (!line.own) /* a line's figures are its owner's */
        line.phone[0] = '\0';
    json_t *what = json_pack("{s:s, s:b}", "kind", "diagnose", "step", 1);
    int e = line_ask(t, m->id, &line, "network_status", what);
    if (e != CVM_ENOENT)
        return e;
    return step_say(t, m->id, tips, json_pack("{s:b}", "answered", 1), "service.qa");
}
