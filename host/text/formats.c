/* See text.h: HTML and DOCX by libxml2 (no network, no entities of others, no document type), DOCX out of its archive
 * by libzip, PDF by poppler. */
#include "text.h"

#include <libxml/HTMLparser.h>
#include <libxml/xmlreader.h>
#include <poppler.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zip.h>

#define DEPTH_MAX 200
#define ENTRIES_MAX 4096
#define PART_MAX_BYTES (32 * 1024 * 1024)
#define RATIO_MAX 200 /* of the text to what it is packed to */

static void quiet(void *context, const char *format, ...)
{
    (void)context;
    (void)format;
}

/* ---- HTML -------------------------------------------------------------------------------------------------------- */

static bool is_one_of(const char *name, const char *const *names)
{
    for (; *names; names++)
        if (strcasecmp(name, *names) == 0)
            return true;
    return false;
}

/* Runs of blanks become one. */
static void add_flowing(struct out *out, const char *text)
{
    for (; *text; text++) {
        bool blank = *text == ' ' || *text == '\n' || *text == '\t' || *text == '\r';
        bool after = out->n && (out->at[out->n - 1] == ' ' || out->at[out->n - 1] == '\n');
        if (blank && (after || !out->n))
            continue;
        out_add(out, blank ? " " : text, 1);
    }
}

static void walk(const xmlNode *node, struct out *out, int depth)
{
    static const char *const unseen[] = {"script", "style",  "noscript", "template", "svg",
                                         "iframe", "object", "head",     NULL};
    static const char *const blocks[] = {"p",   "div",    "section", "article", "table", "ul",    "ol",   "blockquote",
                                         "pre", "header", "footer",  "nav",     "main",  "aside", "form", NULL};
    if (depth > DEPTH_MAX)
        text_fail("is nested more than %d deep", DEPTH_MAX);
    for (; node; node = node->next) {
        const char *name = node->name ? (const char *)node->name : "";
        if (node->type == XML_TEXT_NODE && node->content)
            add_flowing(out, (const char *)node->content);
        if (node->type != XML_ELEMENT_NODE || is_one_of(name, unseen))
            continue;
        bool heading = (name[0] | 32) == 'h' && name[1] >= '1' && name[1] <= '6' && !name[2];
        if (heading || is_one_of(name, blocks))
            out_line(out, 2);
        else if (strcasecmp(name, "br") == 0 || strcasecmp(name, "tr") == 0 || strcasecmp(name, "li") == 0)
            out_line(out, 1);
        if (heading)
            out_puts(out, name[1] == '1' ? "# " : "## ");
        else if (strcasecmp(name, "li") == 0)
            out_puts(out, "- ");
        else if (strcasecmp(name, "td") == 0)
            add_flowing(out, " ");
        walk(node->children, out, depth + 1);
        if (heading || is_one_of(name, blocks))
            out_line(out, 2);
    }
}

static const xmlNode *find(const xmlNode *node, const char *name, int depth)
{
    for (; node && depth < 8; node = node->next) {
        if (node->type == XML_ELEMENT_NODE && strcasecmp((const char *)node->name, name) == 0)
            return node;
        const xmlNode *below = find(node->children, name, depth + 1);
        if (below)
            return below;
    }
    return NULL;
}

static void one_line(const char *text, char ret[256])
{
    size_t n = 0;
    for (; text && *text && n < 200; text++)
        if ((unsigned char)*text >= ' ')
            ret[n++] = *text;
    while (n && ((unsigned char)ret[n - 1] & 0xc0) == 0x80)
        n--;
    ret[n] = '\0';
}

void text_of_html(const char *bytes, size_t n, struct out *out)
{
    xmlSetGenericErrorFunc(NULL, quiet);
    htmlDocPtr doc = htmlReadMemory(bytes, (int)n, NULL, NULL,
                                    HTML_PARSE_NONET | HTML_PARSE_RECOVER | HTML_PARSE_NOERROR | HTML_PARSE_NOWARNING);
    const xmlNode *root = doc ? xmlDocGetRootElement(doc) : NULL;
    if (!root)
        text_fail("is no HTML");
    const xmlNode *title = find(root, "title", 0);
    if (title && title->children && title->children->content)
        one_line((const char *)title->children->content, out->title);
    walk(root, out, 0);
    xmlFreeDoc(doc);
}

/* ---- DOCX -------------------------------------------------------------------------------------------------------- */

static char *unpack(zip_t *archive, const char *name, size_t *ret_n)
{
    zip_stat_t st;
    if (zip_stat(archive, name, 0, &st) < 0)
        text_fail("is no DOCX: it has no %s", name);
    if (!(st.valid & ZIP_STAT_SIZE) || st.size > PART_MAX_BYTES ||
        (st.comp_size && st.size > 1024 * 1024 && st.size / st.comp_size > RATIO_MAX))
        text_fail("unpacks to more than is allowed");
    zip_file_t *f = zip_fopen(archive, name, 0);
    char *text = malloc(st.size + 1);
    zip_int64_t got = f && text ? zip_fread(f, text, st.size) : -1;
    char more;
    if (got < 0 || (zip_uint64_t)got != st.size || zip_fread(f, &more, 1) != 0)
        text_fail("is damaged: %s cannot be unpacked", name);
    zip_fclose(f);
    text[got] = '\0';
    *ret_n = (size_t)got;
    return text;
}

static void paragraphs(xmlTextReaderPtr r, struct out *out)
{
    bool in_text = false, heading = false;
    int step;
    while ((step = xmlTextReaderRead(r)) == 1) {
        int type = xmlTextReaderNodeType(r);
        const char *name = (const char *)xmlTextReaderConstLocalName(r);
        if (xmlTextReaderDepth(r) > DEPTH_MAX)
            text_fail("is nested more than %d deep", DEPTH_MAX);
        if (type == XML_READER_TYPE_DOCUMENT_TYPE || type == XML_READER_TYPE_ENTITY_REFERENCE)
            text_fail("has a document type or entities, which no DOCX has");
        if (type == XML_READER_TYPE_ELEMENT) {
            in_text = strcmp(name, "t") == 0;
            if (strcmp(name, "pStyle") == 0) {
                xmlChar *style = xmlTextReaderGetAttributeNs(
                    r, BAD_CAST "val", BAD_CAST "http://schemas.openxmlformats.org/wordprocessingml/2006/main");
                heading = style && (strncasecmp((const char *)style, "Heading", 7) == 0 ||
                                    strcasecmp((const char *)style, "Title") == 0);
                xmlFree(style);
                if (heading)
                    out_puts(out, "# ");
            } else if (strcmp(name, "br") == 0 || strcmp(name, "tr") == 0) {
                out_line(out, 1);
            } else if (strcmp(name, "tab") == 0 || strcmp(name, "tc") == 0) {
                out_puts(out, " ");
            }
        } else if (type == XML_READER_TYPE_END_ELEMENT) {
            in_text = false;
            if (strcmp(name, "p") == 0)
                out_line(out, 2);
        } else if (in_text && (type == XML_READER_TYPE_TEXT || type == XML_READER_TYPE_SIGNIFICANT_WHITESPACE)) {
            out_puts(out, (const char *)xmlTextReaderConstValue(r));
        }
    }
    if (step < 0)
        text_fail("is damaged: its text is no XML");
}

void text_of_docx(const char *bytes, size_t n, struct out *out)
{
    zip_error_t error;
    size_t len;
    zip_error_init(&error);
    xmlSetGenericErrorFunc(NULL, quiet);
    zip_source_t *source = zip_source_buffer_create(bytes, n, 0, &error);
    zip_t *archive = source ? zip_open_from_source(source, ZIP_RDONLY, &error) : NULL;
    if (!archive)
        text_fail("is a damaged archive: %s", zip_error_strerror(&error));
    if (zip_get_num_entries(archive, 0) > ENTRIES_MAX)
        text_fail("has more than %d parts", ENTRIES_MAX);
    char *xml = unpack(archive, "word/document.xml", &len);
    xmlTextReaderPtr r =
        xmlReaderForMemory(xml, (int)len, NULL, NULL, XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
    if (!r)
        text_fail("is damaged: its text is no XML");
    paragraphs(r, out);
    xmlFreeTextReader(r);
    free(xml);
    zip_discard(archive);
}

/* ---- PDF --------------------------------------------------------------------------------------------------------- */

void text_of_pdf(const char *bytes, size_t n, struct out *out)
{
    GError *error = NULL;
    GBytes *all = g_bytes_new_static(bytes, n);
    PopplerDocument *doc = poppler_document_new_from_bytes(all, NULL, &error);
    if (!doc)
        text_fail(error && error->code == POPPLER_ERROR_ENCRYPTED ? "is locked by a password" : "is a damaged PDF");
    int pages = poppler_document_get_n_pages(doc);
    if (pages > TEXT_PAGES_MAX)
        text_fail("has %d pages; at most %d are read", pages, TEXT_PAGES_MAX);
    char *title = poppler_document_get_title(doc);
    one_line(title, out->title);
    g_free(title);
    for (int i = 0; i < pages; i++) {
        PopplerPage *page = poppler_document_get_page(doc, i);
        char *text = page ? poppler_page_get_text(page) : NULL;
        if (text) {
            out_line(out, 2);
            out_puts(out, text);
        }
        g_free(text);
        if (page)
            g_object_unref(page);
    }
    g_object_unref(doc);
    g_bytes_unref(all);
}
