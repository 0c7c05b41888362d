# Makes docs/reference/sdk.md of the headers: sdk/doc.sh. Each comment that stands at the left margin becomes a text, what
# follows it, up to the body or the semicolon, the declaration it explains; "---- title ----" is a heading. POSIX awk.

# What Markdown would take for its own, outside of backticks.
function escaped(text,    part, n, i, made)
{
    n = split(text, part, "`")
    for (i = 1; i <= n; i++) {
        if (i % 2) { gsub(/</, "\\&lt;", part[i]); gsub(/\*/, "\\*", part[i]) }
        made = made (i > 1 ? "`" : "") part[i]
    }
    return made
}

function flush_prose(    i)
{
    # Indented lines of a comment are code.
    code = 0
    for (i = 1; i <= n_prose; i++) {
        is_code = prose[i] ~ /^    / && (code || i == 1 || prose[i - 1] == "" || prose[i - 1] ~ /:$/)
        is_code = is_code || (code && prose[i] == "" && prose[i + 1] ~ /^    /)
        if (is_code && !code) print (i > 1 && prose[i - 1] != "" ? "\n" : "") "```c"
        if (!is_code && code) print "```" (prose[i] != "" ? "\n" : "")
        code = is_code
        line = prose[i]
        if (code) sub(/^    /, "", line)
        else { line = escaped(line); sub(/^ +- /, "- ", line); sub(/^    /, "  ", line) }
        print line
    }
    if (code) print "```"
    n_prose = 0
}

# The names a declaration declares, for its heading.
function name_of(text,    t)
{
    t = text
    if (match(t, /^#define [A-Z_0-9]+/)) return substr(t, 9, RLENGTH - 8)
    if (t ~ /^typedef struct (\{|[a-z_]+ \{)/ && match(t, /\} [a-z_]+;/)) return substr(t, RSTART + 2, RLENGTH - 3)
    if (match(t, /^typedef [a-z ]+ [a-z_]+;/)) { sub(/;.*/, "", t); sub(/.* /, "", t); return t }
    if (match(t, /^typedef int \(\*[a-z_]+/)) return substr(t, RSTART + 14, RLENGTH - 14)
    if (t !~ /\(/ && match(t, /^(struct|enum) [a-z_]+/)) return substr(t, RSTART, RLENGTH)
    if (t ~ /^enum/) return "CVM_OK, CVM_PENDING"
    sub(/^__attribute__\(\(format\(printf, [0-9], [0-9]\)\)\) /, "", t)
    if (match(t, /[a-z_0-9]+\(/)) return substr(t, RSTART, RLENGTH - 1)
    sub(/;.*/, "", t); sub(/.* /, "", t)
    return t
}

function flush_declaration()
{
    if (declaration == "") return
    name = name_of(declaration)
    if (name ~ /^cvm__/) { declaration = ""; return } # what only the functions around it use
    if (n_prose) {
        if (open_block) print "```"
        open_block = 0
        print "\n#### `" name "`\n"
        flush_prose()
        print "\n```c"
        open_block = 1
    } else if (!open_block) {
        print "\n```c"
        open_block = 1
    }
    print declaration
    declaration = ""
}

function tidy(text)
{
    sub(/ *\\$/, "", text)
    sub(/CVM_MUST_USE static inline /, "", text)
    sub(/static inline /, "", text)
    return text
}

FNR == 1 {
    if (open_block) print "```"
    open_block = 0
    path = FILENAME
    sub(/.*include\//, "", path)
    print "\n## `<" path ">`\n"
    first = 1
    state = ""
}

/^#(ifndef|ifdef|endif|include|undef)/ || /^extern "C"/ { if (state == "") next }
/^}$/ && state == "" { next }
/^#define CVM_[A-Z]+_H$/ { next }

# Headings between sections.
state == "" && /^\/\* ---- .* ---+ \*\/$/ {
    if (open_block) print "```"
    open_block = 0
    title = $0
    gsub(/^\/\* ---- | -+ \*\/$/, "", title)
    print "\n### " toupper(substr(title, 1, 1)) substr(title, 2)
    next
}

# A comment of its own.
state == "" && /^\/\*/ {
    state = "comment"
    n_prose = 0
    line = $0
    sub(/^\/\* ?/, "", line)
    if (line ~ /\*\/$/) { sub(/ ?\*\/$/, "", line); state = "" }
    prose[++n_prose] = line
    if (state == "" && first) { flush_prose(); first = 0 }
    next
}
state == "comment" {
    line = $0
    if (line ~ /\*\/$/) { sub(/ ?\*\/$/, "", line); state = "" }
    sub(/^ \* ?/, "", line)
    if (state != "" || line != "") prose[++n_prose] = line
    if (state == "" && first) { flush_prose(); first = 0 }
    next
}

# Bodies are left out.
state == "body" { if ($0 ~ /^}/) state = ""; next }
state == "macro" { if ($0 !~ /\\$/) state = ""; next }
state == "table" { if ($0 !~ /\\$/) state = ""; line = tidy($0); declaration = declaration "\n" line; if (state == "") flush_declaration(); next }

state == "" && /^#define/ {
    declaration = tidy($0)
    state = $0 !~ /\\$/ ? "" : $0 ~ /CVM_ERRORS/ ? "table" : "macro"
    if (state != "table") flush_declaration()
    next
}
state == "" && /^$/ { next }
state == "" {
    declaration = tidy($0)
    state = "declaration"
    if (/^(typedef )?(struct|enum)[^(]*\{$/ || /^typedef struct \{$/ || /^enum \{$/) state = "block"
    if (state == "declaration" && /;( *\/\*.*)?$/) { state = ""; flush_declaration() }
    next
}
state == "block" { if ($0 !~ /^#/) declaration = declaration "\n" $0; if ($0 ~ /^}/) { state = ""; flush_declaration() } next }
state == "declaration" {
    if ($0 == "{") { declaration = declaration ";"; state = "body"; flush_declaration(); next }
    declaration = declaration "\n" $0
    if ($0 ~ /;( *\/\*.*)?$/) { state = ""; flush_declaration() }
}
END { if (open_block) print "```" }
