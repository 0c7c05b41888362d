/* The OpenAPI document, of manifests written for it and of the product's own, against the rules that make it one. */
#include "services/openapi.h"

#include "core/schema.h"
#include "services/catalogue.h"
#include <check.h>
#include <cvm/json.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define HOSTS_OWN 5 /* routes that no manifest declares */

/* Everything that has to be rewritten: references into each other, names that are no keys, renamed members, members of
 * the path, paths that differ by names only, identifiers that meet. */
static const char shop[] =
    "{'manifest':1,'name':'shop','version':'2.0.0','abi':'1.0','description':'Sells','components':["
    "{'id':'shop.till','alias':'Till','kind':'agent','operations':["
    " {'type':'order','description':'Takes an order','request':{'$ref':'#/schemas/An order'},"
    "  'response':{'$ref':'#/schemas/An~1other'},'expose':{'cli':'order place','help':'Place an order','args':['item'],"
    "   'rest':'POST /orders','rename':{'thing':'item'},'success':201,'refused':409,'permission':'sell'}},"
    " {'type':'show','durable':false,'request':{'type':'object','additionalProperties':false,'required':['order_id'],"
    "   'properties':{'order_id':{'type':'string','description':'its number'},'fields':{'type':'array',"
    "   'items':{'type':'string'}},'limit':{'type':'integer','minimum':1},'where':{'type':'object'}}},"
    "  'expose':{'rest':'GET /orders/{order}','rename':{'order':'order_id','n':'limit'}}},"
    " {'type':'drop','request':{'type':'object','additionalProperties':false,'required':['id'],'properties':{"
    "   'id':{'type':'string'}}},'expose':{'rest':'POST /orders/{id}/drop'}},"
    " {'type':'change','request':{'allOf':[{'$ref':'#/schemas/Base'}],'properties':{'note':{'type':'string'}}},"
    "  'expose':{'rest':'PUT /orders/{base_id}'}},"
    " {'type':'hook','raw':true,'expose':{'rest':'POST /hooks/{channel}'}},"
    " {'type':'bus_only'}]},"
    "{'id':'shop.till_order','kind':'agent','operations':["
    " {'type':'x','expose':{'rest':'GET /x'}},{'type':'x.y','expose':{'rest':'GET /xy'}},"
    " {'type':'x_y','expose':{'rest':'GET /x-y'}}]}],"
    "'schemas':{"
    " 'An order':{'$id':'urn:order','type':'object','additionalProperties':false,'required':['item'],'properties':{"
    "  'item':{'$ref':'#/schemas/An~1other/properties/name'},'note':{'enum':['$ref',{'$ref':'#/nowhere'}]}}},"
    " 'An/other':{'type':'object','properties':{'name':{'type':'string'},'next':{'$ref':'#/schemas/An%2Fother'}}},"
    " 'An_order':{'type':'integer'},"
    " 'Base':{'type':'object','required':['base_id'],'properties':{'base_id':{'type':'string'},"
    "  'kin':{'$ref':'#/schemas/An_order'}}}}}";

static const json_t *at(const json_t *document, const char *path)
{
    char word[256];
    while (*path && document) {
        size_t n = strcspn(path, " ");
        snprintf(word, sizeof word, "%.*s", (int)n, path);
        document = json_is_array(document) ? json_array_get(document, strtoul(word, NULL, 10))
                                           : json_object_get(document, word);
        path += n + (path[n] == ' ');
    }
    return document;
}

static const char *text_at(const json_t *document, const char *path)
{
    const char *text = json_string_value(at(document, path));
    return text ? text : "(none)";
}

/* ---- the rules ---- */

struct rules {
    const json_t *document;
    json_t *ids;
    size_t routes;
};

/* Every "$ref" below `value` that stands for one leads somewhere. */
static void refs_resolve(const struct rules *r, const json_t *value, const char *where)
{
    const char *name;
    json_t *one;
    size_t i;
    json_array_foreach(value, i, one) refs_resolve(r, one, where);
    json_object_foreach((json_t *)(uintptr_t)value, name, one)
    {
        if (strcmp(name, "enum") == 0 || strcmp(name, "const") == 0 || strcmp(name, "default") == 0)
            continue;
        if (strcmp(name, "$ref") == 0)
            ck_assert_msg(schema_resolve(r->document, value) != NULL, "%s: \"%s\" leads nowhere", where,
                          json_string_value(one));
        refs_resolve(r, one, name);
    }
}

/* Our own compiler knows each keyword and follows each reference. */
static void is_schema(const struct rules *r, const json_t *node, const char *where)
{
    struct schema *schema = NULL;
    struct schema_error error;
    ck_assert_msg(node != NULL, "%s: no schema", where);
    ck_assert_msg(schema_compile(r->document, node, &schema, &error) == 0, "%s: %s %s", where, error.field, error.text);
    schema_free(schema);
}

static void content_has_schemas(const struct rules *r, const json_t *holder, const char *where)
{
    const char *type;
    json_t *media;
    json_object_foreach(json_object_get(holder, "content"), type, media)
    {
        if (strcmp(type, "*/*") != 0)
            is_schema(r, json_object_get(media, "schema"), where);
    }
}

static bool declares(const struct rules *r, const json_t *route, const char *name, const char *in)
{
    const json_t *parameter;
    size_t i, n = 0;
    json_array_foreach(json_object_get(route, "parameters"), i, parameter)
    {
        parameter = schema_resolve(r->document, parameter);
        if (strcmp(text_at(parameter, "name"), name) == 0 && strcmp(text_at(parameter, "in"), in) == 0)
            n += 1 + (strcmp(in, "path") == 0 && !json_is_true(json_object_get(parameter, "required")));
    }
    return n == 1;
}

static void route_holds(struct rules *r, const char *path, const char *method, const json_t *route)
{
    char name[128], where[512];
    const char *status;
    json_t *answer, *parameter;
    size_t i;
    snprintf(where, sizeof where, "%s %s", method, path);
    r->routes++;
    const char *id = text_at(route, "operationId");
    ck_assert_msg(!json_object_get(r->ids, id), "%s: operationId %s is taken", where, id);
    ck_assert_msg(id[strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_")] == 0, "%s", id);
    json_object_set_new(r->ids, id, json_true());
    for (const char *s = strchr(path, '{'); s; s = strchr(s + 1, '{')) {
        snprintf(name, sizeof name, "%.*s", (int)strcspn(s + 1, "}"), s + 1);
        ck_assert_msg(declares(r, route, name, "path"), "%s: {%s} is not declared once and required", where, name);
    }
    json_array_foreach(json_object_get(route, "parameters"), i, parameter)
    {
        const json_t *p = schema_resolve(r->document, parameter);
        is_schema(r, json_object_get(p, "schema"), where);
        snprintf(name, sizeof name, "{%s}", text_at(p, "name"));
        ck_assert_msg(strcmp(text_at(p, "in"), "path") != 0 || strstr(path, name), "%s: no %s in it", where, name);
    }
    content_has_schemas(r, json_object_get(route, "requestBody"), where);
    ck_assert_uint_gt(json_object_size(json_object_get(route, "responses")), 0);
    json_object_foreach(json_object_get(route, "responses"), status, answer)
    {
        const json_t *a = schema_resolve(r->document, answer);
        ck_assert_msg(json_is_string(json_object_get(a, "description")), "%s: %s has no description", where, status);
        content_has_schemas(r, a, where);
    }
}

/* Gives the number of routes. */
static size_t follows_the_rules(const json_t *document)
{
    struct rules r = {.document = document, .ids = json_object()};
    const char *path, *method;
    json_t *item, *route, *shapes = json_object(), *schema;
    ck_assert_str_eq(text_at(document, "openapi"), "3.1.0");
    refs_resolve(&r, document, "");
    json_object_foreach(json_object_get(document, "paths"), path, item)
    {
        char shape[512] = "";
        size_t n = 0;
        for (const char *s = path; *s; s++) {
            shape[n++] = *s;
            if (*s == '{')
                s += strcspn(s, "}") - 1;
        }
        ck_assert_msg(!json_object_get(shapes, shape), "%s: another path has its shape", path);
        json_object_set_new(shapes, shape, json_true());
        json_object_foreach(item, method, route) route_holds(&r, path, method, route);
    }
    json_object_foreach((json_t *)(uintptr_t)at(document, "components schemas"), path, schema)
    {
        ck_assert_msg(path[strspn(path, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")] == 0,
                      "%s is no key", path);
        is_schema(&r, schema, path);
    }
    json_decref(shapes);
    json_decref(r.ids);
    return r.routes;
}

/* ---- catalogues ---- */

static void add_manifest(json_t *catalogue, const char *path)
{
    char error[512] = "";
    struct manifest *m = NULL;
    ck_assert_msg(manifest_load(path, &m, error, sizeof error) == 0, "%s", error);
    ck_assert_int_eq(catalogue_add_manifest(catalogue, m), 0);
    manifest_free(m);
}

static json_t *of_text(const char *text, bool guarded)
{
    char path[] = "/tmp/cvmhost-openapi-XXXXXX", *json = strdup(text);
    const struct openapi_options options = {.version = "1.2.3", .guarded = guarded};
    int fd = mkstemp(path);
    for (char *c = json; *c; c++)
        *c = *c == '\'' ? '"' : *c;
    ck_assert_int_eq((int)write(fd, json, strlen(json)), (int)strlen(json));
    close(fd);
    json_t *catalogue = catalogue_new();
    add_manifest(catalogue, path);
    json_t *document = openapi_of_catalogue(catalogue, &options);
    json_decref(catalogue);
    unlink(path);
    free(json);
    return document;
}

START_TEST(keeps_the_rules)
{
    json_t *document = of_text(shop, true);
    ck_assert_uint_eq(follows_the_rules(document), HOSTS_OWN + 8);
    ck_assert_str_eq(text_at(document, "info version"), "1.2.3");
    ck_assert_ptr_null(at(document, "paths /bus_only"));
    json_decref(document);
}
END_TEST

START_TEST(the_products_routes_keep_the_rules)
{
    const struct openapi_options options = {.version = "1"};
    json_t *catalogue = catalogue_new(), *entry, *manifest;
    const char *plugin;
    size_t i, routes = 0, streams = 0;
    DIR *dir = opendir(MANIFESTS);
    ck_assert_ptr_nonnull(dir);
    for (struct dirent *file; (file = readdir(dir));) {
        char path[1024];
        if (!strstr(file->d_name, ".json"))
            continue;
        snprintf(path, sizeof path, "%s/%s", MANIFESTS, file->d_name);
        add_manifest(catalogue, path);
    }
    closedir(dir);
    json_array_foreach(json_object_get(catalogue, "operations"), i, entry) routes += at(entry, "expose path") != NULL;
    json_object_foreach(json_object_get(catalogue, "documents"), plugin, manifest) streams +=
        json_array_size(json_object_get(manifest, "streams"));
    ck_assert_uint_ge(routes, 8);
    json_t *document = openapi_of_catalogue(catalogue, &options);
    ck_assert_uint_eq(follows_the_rules(document), HOSTS_OWN + routes + streams);
    ck_assert_str_eq(
        text_at(document, "paths /api/v1/enquiries post responses 200 content application/json schema $ref"),
        "#/components/schemas/service.Answer");
    json_decref(document);
    json_decref(catalogue);
}
END_TEST

START_TEST(describes_a_command_as_the_listener_takes_it)
{
    json_t *document = of_text(shop, true);
    const json_t *order = at(document, "paths /orders post"), *body;
    ck_assert_str_eq(text_at(order, "operationId"), "shop_till_order");
    ck_assert_str_eq(text_at(order, "summary"), "Place an order");
    ck_assert_ptr_nonnull(strstr(text_at(order, "description"), "cvmhost order place"));
    ck_assert_str_eq(text_at(order, "tags 0"), "shop.till");
    ck_assert_str_eq(text_at(order, "parameters 0 $ref"), "#/components/parameters/IdempotencyKey");
    body = at(order, "requestBody content application/json schema");
    ck_assert_str_eq(text_at(body, "required 0"), "thing");
    ck_assert_ptr_null(at(body, "properties item"));
    ck_assert_str_eq(text_at(body, "properties thing $ref"), "#/components/schemas/shop.An_other/properties/name");
    ck_assert_ptr_null(at(body, "$id"));
    ck_assert_str_eq(text_at(body, "properties note enum 1 $ref"), "#/nowhere"); /* a value, no reference */
    ck_assert(json_is_true(at(order, "requestBody required")));
    ck_assert_str_eq(text_at(order, "responses 201 content application/json schema $ref"),
                     "#/components/schemas/shop.An_other");
    ck_assert_ptr_nonnull(at(order, "responses 409 content application/json"));
    ck_assert_ptr_nonnull(at(order, "responses 409 content application/problem+json"));
    ck_assert_ptr_nonnull(at(order, "responses 202"));
    ck_assert_str_eq(text_at(order, "security 0 token 0"), "sell");
    ck_assert_uint_eq(json_array_size(at(order, "security")), 1);
    ck_assert_ptr_nonnull(at(order, "responses 401"));
    ck_assert_uint_eq(json_array_size(at(document, "paths /x get security")), 0);
    ck_assert_ptr_null(at(document, "paths /x get responses 401"));
    json_decref(document);
    document = of_text(shop, false); /* nobody is asked for a token */
    ck_assert_uint_eq(json_array_size(at(document, "paths /orders post security")), 2);
    json_decref(document);
}
END_TEST

START_TEST(puts_members_where_the_listener_looks)
{
    json_t *document = of_text(shop, true);
    const json_t *show = at(document, "paths /orders/{order} get"), *one;
    char names[256] = "";
    size_t i;
    json_array_foreach(json_object_get(show, "parameters"), i, one)
        snprintf(names + strlen(names), sizeof names - strlen(names), "%s %s%s;", text_at(one, "in"),
                 text_at(one, "name"), json_is_true(json_object_get(one, "required")) ? "!" : "");
    ck_assert_str_eq(names, "path order!;query fields;query n;");
    ck_assert_str_eq(text_at(show, "parameters 0 description"), "its number");
    ck_assert_ptr_null(at(show, "requestBody"));
    ck_assert_ptr_null(at(show, "responses 409")); /* not durable: takes no key */
    ck_assert_ptr_null(at(document, "paths /orders/{id}/drop post requestBody"));
    /* The same shape as /orders/{order}: one path, its names. */
    ck_assert_ptr_null(at(document, "paths /orders/{base_id}"));
    const json_t *change = at(document, "paths /orders/{order} put");
    ck_assert_str_eq(text_at(change, "parameters 0 name"), "order");
    const json_t *base = at(change, "requestBody content application/json schema allOf 0");
    ck_assert_ptr_nonnull(at(base, "properties kin"));
    ck_assert_ptr_null(at(base, "properties base_id"));
    ck_assert_ptr_null(at(base, "required"));
    ck_assert_ptr_nonnull(at(document, "paths /hooks/{channel} post requestBody content */*"));
    json_decref(document);
}
END_TEST

START_TEST(keeps_names_apart)
{
    json_t *document = of_text(shop, true);
    /* "shop.till" "order_x" and the like: identifiers and keys that meet once their characters are plain. */
    ck_assert_str_eq(text_at(document, "paths /xy get operationId"), "shop_till_order_x_y");
    ck_assert_str_eq(text_at(document, "paths /x-y get operationId"), "shop_till_order_x_y_2");
    ck_assert_str_eq(text_at(document, "components schemas shop.An_order type"), "integer");
    ck_assert_str_eq(text_at(document, "components schemas shop.An_other properties next $ref"),
                     "#/components/schemas/shop.An_other");
    json_decref(document);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("openapi");
    TCase *c = tcase_create("openapi");
    tcase_add_test(c, keeps_the_rules);
    tcase_add_test(c, the_products_routes_keep_the_rules);
    tcase_add_test(c, describes_a_command_as_the_listener_takes_it);
    tcase_add_test(c, puts_members_where_the_listener_looks);
    tcase_add_test(c, keeps_names_apart);
    suite_add_tcase(suite, c);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
