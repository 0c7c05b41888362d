/* The tools of PowerSalesAgent that sell nothing: meters, tariffs, companies. Loop thread. */
#include "power.h"

static int refused(cvm_turn *t, cvm_id request, const struct sale_failure *f)
{
    json_t *body = sale_failure_body(f, "PowerSalesAgent");
    if (!body)
        return CVM_ENOMEM;
    json_object_set_new(body, "rule", json_string(f->rule));
    CVM_TRY(cvm_note(t, "rule", json_pack("{s:s, s:s}", "rule", f->rule, "because", f->error)));
    return step_settle(t, request, CVM_REFUSED, body);
}

/* Checks the form, then asks the company; `kind` says how to go on. */
static int ask_meter(cvm_turn *t, const cvm_msg *m, const char *kind)
{
    struct power_rules rules;
    struct power_order o;
    struct sale_failure f;
    power_rules_read(cvm_settings(t), &rules);
    if (power_check_meter(&rules, cvm_json_str(m->data, "disco", ""), cvm_json_str(m->data, "meter_number", ""), &o,
                          &f) < 0)
        return refused(t, m->id, &f);
    int e = sell_validate(t, m, &o, json_pack("{s:s}", "kind", kind));
    if (e != CVM_ENOENT)
        return e;
    snprintf(f.error, sizeof f.error, "%s cannot be reached here.", power_disco_name(&rules, o.disco));
    snprintf(f.recommendation, sizeof f.recommendation, "Please try again later.");
    return cvm_refuse_with(t, sale_failure_body(&f, "PowerSalesAgent"));
}

int tools_validate(cvm_turn *t, const cvm_msg *m)
{
    return ask_meter(t, m, "validate");
}

static json_t *meter_body(const struct power_rules *rules, const json_t *what, const json_t *meter)
{
    const char *disco = cvm_json_str(what, "disco", ""), *number = cvm_json_str(what, "meter", "");
    json_t *body =
        json_pack("{s:b, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:b}", "valid", 1, "disco", disco, "disco_name",
                  power_disco_name(rules, disco), "meter_number", number, "customer_name",
                  cvm_json_str(meter, "customer_name", ""), "address", cvm_json_str(meter, "address", ""),
                  "tariff_class", cvm_json_str(meter, "tariff_class", ""), "meter_type",
                  cvm_json_str(meter, "meter_type", "PREPAID"), "check_digit_fits", power_check_digit(number));
    static const char *const more[] = {"service_band", "rate_kobo"};
    for (size_t i = 0; body && i < sizeof more / sizeof more[0]; i++) {
        const json_t *v = json_object_get(meter, more[i]);
        if (v)
            json_object_set_new(body, more[i], cvm_json_share(v));
    }
    return body;
}

int tools_validated(cvm_turn *t, const cvm_msg *m, const json_t *what)
{
    struct power_rules rules;
    struct sale_failure f;
    power_rules_read(cvm_settings(t), &rules);
    if (m->outcome != CVM_REPLIED) {
        power_not_validated(&rules, m, cvm_json_str(what, "disco", ""), &f);
        return refused(t, m->on_behalf, &f);
    }
    if (strcmp(cvm_json_str(what, "kind", ""), "validate") == 0)
        return step_settle(t, m->on_behalf, CVM_REPLIED, meter_body(&rules, what, m->data));
    json_t *body = tariff_of_meter(&rules, m->data);
    if (!body) {
        f = (struct sale_failure){.rule = "TARIFF"};
        snprintf(f.error, sizeof f.error, "No rate is known for the class of this meter.");
        snprintf(f.recommendation, sizeof f.recommendation, "Ask the distribution company.");
        return refused(t, m->on_behalf, &f);
    }
    json_object_set_new(body, "meter_number", json_string(cvm_json_str(what, "meter", "")));
    return step_settle(t, m->on_behalf, CVM_REPLIED, body);
}

int tools_check_tariff(cvm_turn *t, const cvm_msg *m)
{
    struct power_rules rules;
    if (*cvm_json_str(m->data, "meter_number", ""))
        return ask_meter(t, m, "tariff");
    power_rules_read(cvm_settings(t), &rules);
    json_t *body =
        tariff_table(&rules, cvm_json_str(m->data, "tariff_class", ""), cvm_json_str(m->data, "service_band", ""));
    if (!body)
        return cvm_refuse(t, "TARIFF", "tariff_class", "no rate is known for this class and band");
    return cvm_reply(t, m, body);
}

int tools_list_discos(cvm_turn *t, const cvm_msg *m)
{
    struct power_rules rules;
    json_t *list = json_array(), *disco;
    const char *code;
    power_rules_read(cvm_settings(t), &rules);
    json_object_foreach((json_t *)(uintptr_t)rules.discos, code, disco)
    {
        json_t *one =
            json_pack("{s:s, s:s, s:O, s:O}", "code", code, "name", cvm_json_str(disco, "name", code), "aliases",
                      json_object_get(disco, "aliases"), "coverage_areas", json_object_get(disco, "coverage_areas"));
        if (one)
            json_array_append_new(list, one);
    }
    return cvm_reply(t, m, json_pack("{s:o}", "discos", list));
}
