/* test_builtins.c - copy, concat, markdown and query, each through the registry, as an engine would run them. */
#include "effects/builtins.h"

#include "engine/effect/job.h"
#include "engine/store/value.h"
#include "tests/check.h"

static registry *effects;
static int rootfd = -1;
static weir_error err;

enum { MEMBERS = 4 };

/* One job on files a, b, c ... with these contents, or on one value. */
typedef struct trial {
    job_file files[MEMBERS];
    job_member members[MEMBERS];
    job_input input;
    job_output output;
    job_order order;
    buf params, value;
    job *j;
    job_report report;
} trial;

static void add_file(trial *t, const char *path, const char *content)
{
    size_t i = t->input.count++;
    check_write(check_path(path), content);
    t->files[i] = (job_file){.port = bytes_str(""), .path = bytes_str(path), .item = i + 1};
    t->members[i] = (job_member){.kind = MEMBER_ITEM, .item_type = ITEM_FILE, .name = bytes_str(path), .id = i + 1,
                                 .files = &t->files[i], .file_count = 1};
}

static void add_value(trial *t, const char *json)
{
    size_t i = t->input.count++;
    buf_clear(&t->value);
    CHECK_OK(value_from_json(bytes_str(json), &t->value, &err), err);
    t->members[i] = (job_member){.kind = MEMBER_NODE, .name = bytes_str("up"), .id = 50, .has_value = true,
                                 .value = buf_bytes(&t->value), .value_path = bytes_str(""),
                                 .value_hash = hash_bytes(t->value.data, t->value.size)};
}

static void begin(trial *t, const char *port, bool is_list, const char *output)
{
    *t = (trial){.input = {.port = bytes_str(port), .is_list = is_list}};
    t->input.members = t->members;
    t->output = (job_output){bytes_str(output), bytes_str("out.txt"), bytes_str("temp.txt")};
    buf_init(&t->params);
    buf_init(&t->value);
}

static void run(trial *t, const char *effect, const char *params)
{
    const registry_entry *entry = registry_find(effects, bytes_str(effect));
    CHECK_OR_STOP(entry != NULL);
    buf given;
    buf_init(&given);
    CHECK_OK(value_from_json(bytes_str(params), &given, &err), err);
    CHECK_OK(registry_fill(entry, buf_bytes(&given), &t->params, &err), err);
    buf_deinit(&given);
    t->order = (job_order){.id = 1, .kind = EFFECT_C, .params = buf_bytes(&t->params), .inputs = &t->input, .input_count = 1,
                           .outputs = &t->output, .output_count = t->output.port.size ? 1 : 0, .keep = true};
    CHECK_OK(job_perform(entry, &t->order, rootfd, &t->j, &t->report, &err), err);
}

static void end(trial *t)
{
    job_free(t->j);
    buf_deinit(&t->params);
    buf_deinit(&t->value);
}

static void wrote(trial *t, const char *expected, uint32_t mode)
{
    CHECK_STR("", t->report.message.data ? (const char *)t->report.message.data : "");
    CHECK_OR_STOP(t->report.written_count == 1);
    CHECK_BYTES(expected, strlen(expected), t->report.written[0].inlined.data, t->report.written[0].inlined.size);
    CHECK_INT(mode, t->report.written[0].mode);
    end(t);
}

static void failed(trial *t, const char *why)
{
    CHECK(!t->report.ok);
    CHECK_HAS(why, t->report.message.data ? (const char *)t->report.message.data : "");
    end(t);
}

static void test_copy(void)
{
    trial t;
    begin(&t, "from", false, "to");
    add_file(&t, "a", "text\n");
    run(&t, "copy", "{}");
    CHECK_INT(1, t.report.read_count);
    wrote(&t, "text\n", 0644);

    begin(&t, "from", false, "to");
    add_file(&t, "a", "");
    run(&t, "copy", "{\"mode\":\"755\"}");
    wrote(&t, "", 0755);

    begin(&t, "from", false, "to");
    add_value(&t, "\"from a value\"");
    run(&t, "copy", "{\"mode\":\"0600\"}");
    wrote(&t, "from a value", 0600);

    static const char *const wrong[] = {"{\"mode\":\"rwx\"}", "{\"mode\":\"4755\"}", "{\"mode\":\"\"}", "{\"mode\":\"7\"}", "{\"mode\":\"00755\"}"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        begin(&t, "from", false, "to");
        add_file(&t, "a", "x");
        run(&t, "copy", wrong[i]);
        failed(&t, "write permission bits in octal");
    }

    begin(&t, "from", false, "to");
    add_file(&t, "a", "x");
    CHECK_INT(0, unlink(check_path("a")));
    run(&t, "copy", "{}");
    failed(&t, "there is no file a");
}

static void test_concat(void)
{
    trial t;
    begin(&t, "parts", true, "to");
    add_file(&t, "a", "1");
    add_file(&t, "b", "");
    add_value(&t, "{\"k\":[1,2]}");
    add_file(&t, "c", "3\n");
    run(&t, "concat", "{\"separator\":\", \"}");
    CHECK_INT(5, t.report.read_count); /* the list's names, four members */
    CHECK_INT(0, t.report.reads[4].group);
    wrote(&t, "1, , {\"k\":[1,2]}, 3\n", 0644);

    begin(&t, "parts", true, "to");
    add_file(&t, "a", "1");
    add_file(&t, "b", "2");
    run(&t, "concat", "{}");
    wrote(&t, "12", 0644);

    begin(&t, "parts", true, "to");
    run(&t, "concat", "{}");
    CHECK_INT(1, t.report.read_count);
    wrote(&t, "", 0644);
}

static void renders(const char *text, const char *params, const char *expected)
{
    trial t;
    buf html;
    begin(&t, "text", false, "");
    add_file(&t, "a", text);
    run(&t, "markdown", params);
    CHECK_STR("", t.report.message.data ? (const char *)t.report.message.data : "");
    CHECK_OR_STOP(t.report.has_value);
    buf_init(&html);
    value_put_string(&html, bytes_str(expected));
    CHECK_BYTES(html.data, html.size, t.report.value.data, t.report.value.size);
    buf_deinit(&html);
    end(&t);
}

static void test_markdown(void)
{
    static char many[40001], html[40001 + 16];
    renders("# Title\n\nText *with* `code`.\n", "{\"post\":\"intro\"}",
            "<h1>Title</h1>\n<p>Text <em>with</em> <code>code</code>.</p>\n");
    renders("", "{}", "");
    renders("\xef\xbb\xbfx\n", "{}", "<p>x</p>\n");
    renders("- a\n- [x] b\n", "{}", "<ul>\n<li>a</li>\n<li class=\"task-list-item\"><input type=\"checkbox\" "
            "class=\"task-list-item-checkbox\" disabled checked>b</li>\n</ul>\n");
    renders("|a|b|\n|---|--:|\n|1|2|\n", "{}",
            "<table>\n<thead>\n<tr>\n<th>a</th>\n<th align=\"right\">b</th>\n</tr>\n</thead>\n<tbody>\n<tr>\n<td>1</td>\n"
            "<td align=\"right\">2</td>\n</tr>\n</tbody>\n</table>\n");
    renders("|a|\n|---|\n", "{\"tables\":false}", "<p>|a|\n|---|</p>\n");
    renders("~~no~~", "{}", "<p><del>no</del></p>\n");
    renders("~~no~~", "{\"strikethrough\":false}", "<p>~~no~~</p>\n");
    renders("see www.example.org", "{}", "<p>see <a href=\"http://www.example.org\">www.example.org</a></p>\n");
    renders("see www.example.org", "{\"autolinks\":false}", "<p>see www.example.org</p>\n");
    renders("a <b>c</b>", "{}", "<p>a <b>c</b></p>\n");
    renders("a <b>c</b>", "{\"html\":false}", "<p>a &lt;b&gt;c&lt;/b&gt;</p>\n");
    renders("a  \nb", "{}", "<p>a<br>\nb</p>\n");
    renders("a  \nb", "{\"xhtml\":true}", "<p>a<br />\nb</p>\n");
    renders("_a_", "{\"underline\":true}", "<p><u>a</u></p>\n");

    memset(many, 'm', sizeof many - 1);
    snprintf(html, sizeof html, "<p>%s</p>\n", many);
    renders(many, "{}", html);

    trial t;
    begin(&t, "text", false, "");
    add_file(&t, "a", "x");
    run(&t, "markdown", "{\"tables\":\"yes\"}");
    failed(&t, "param \"tables\" must be true or false");

    begin(&t, "text", false, ""); /* a string value is text, not JSON */
    add_value(&t, "\"*v* \\\"q\\\"\"");
    run(&t, "markdown", "{}");
    CHECK_INT(1, t.report.read_count);
    CHECK_INT(ASPECT_VALUE, t.report.reads[0].ref.aspect);
    CHECK_HAS("<p><em>v</em> &quot;q&quot;</p>", (const char *)t.report.value.data + 2);
    end(&t);
}

static void answers(trial *t, const char *params, const char *expected, size_t reads)
{
    buf rows;
    run(t, "query", params);
    CHECK_STR("", t->report.message.data ? (const char *)t->report.message.data : "");
    CHECK_OR_STOP(t->report.has_value);
    buf_init(&rows);
    CHECK_OK(value_to_json(t->report.value, 0, &rows, &err), err);
    CHECK_BYTES(expected, strlen(expected), rows.data, rows.size);
    CHECK_INT((int64_t)reads, (int64_t)t->report.read_count);
    buf_deinit(&rows);
    end(t);
}

static void ask(trial *t)
{
    begin(t, "all", true, "");
    add_file(t, "a", "text");
    add_value(t, "{\"k\":[1,2]}");
    add_file(t, "b", "more\n");
}

/* What is recorded is what SQLite looked at. */
static void test_query_reads(void)
{
    trial t;
    ask(&t);
    answers(&t, "{\"sql\":\"SELECT count(*) AS n FROM \\\"all\\\"\"}", "[{\"n\":3}]", 1); /* the names */
    ask(&t);
    answers(&t, "{\"sql\":\"SELECT name, value FROM [all] WHERE name = 'up'\"}", "[{\"name\":\"up\",\"value\":\"{\\\"k\\\":[1,2]}\"}]", 2);
    ask(&t);
    answers(&t, "{\"sql\":\"SELECT content FROM [all] WHERE name <> 'up' LIMIT 1\"}", "[{\"content\":\"text\"}]", 2);
    ask(&t); /* a node without a file: that is recorded as well */
    answers(&t, "{\"sql\":\"SELECT path FROM [all]\"}", "[{\"path\":\"a\"},{\"path\":null},{\"path\":\"b\"}]", 4);
    ask(&t); /* a file has no value, ever */
    answers(&t, "{\"sql\":\"SELECT value IS NULL AS none FROM [all]\"}", "[{\"none\":1},{\"none\":0},{\"none\":1}]", 2);
    ask(&t);
    answers(&t, "{\"sql\":\"SELECT rowid AS n FROM [all] WHERE 0\"}", "[]", 0);
}

static void test_query_values(void)
{
    trial t;
    begin(&t, "all", true, "");
    answers(&t, "{\"sql\":\"SELECT * FROM [all]\"}", "[]", 1);
    begin(&t, "one", false, "");
    add_file(&t, "a", "text");
    answers(&t, "{\"sql\":\"SELECT 1 AS a, 2.0 AS b, 1e300*1e300 IS NULL AS c, :p || '' AS d, :q + 1 AS e, :r AS f, :s AS g, :t AS h\","
                "\"p\":\"it's\",\"q\":41,\"r\":null,\"s\":true,\"t\":[1.5]}",
            "[{\"a\":1,\"b\":2.0,\"c\":0,\"d\":\"it's\",\"e\":42,\"f\":null,\"g\":1,\"h\":\"[1.5]\"}]", 0);
    ask(&t);
    run(&t, "query", "{\"sql\":\"SELECT 9e999 AS a\"}");
    failed(&t, "the column \"a\" has a number without end");
    ask(&t);
    run(&t, "query", "{\"sql\":\"SELECT x'00' AS a\"}");
    failed(&t, "the column \"a\" holds bytes that are no text; take hex() of it");
    ask(&t);
    run(&t, "query", "{\"sql\":\"SELECT json('{') AS a\"}");
    failed(&t, "malformed JSON");
    ask(&t);
    CHECK_INT(0, unlink(check_path("b")));
    run(&t, "query", "{\"sql\":\"SELECT length(content) AS a FROM [all]\"}");
    failed(&t, "there is no file b"); /* not what SQLite makes of it */
}

static void test_schemas(void)
{
    CHECK_INT(5, registry_count(effects));
    for (size_t i = 0; i < registry_count(effects); i++) {
        const registry_entry *entry = registry_at(effects, i);
        CHECK(entry->library.size == 0 && !hash_is_none(entry->build));
        CHECK(entry->effect->help && entry->effect->version);
    }
}

int main(void)
{
    rootfd = open(check_scratch(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK_OR_STOP(rootfd >= 0);
    CHECK_OK(registry_open(&effects, weir_builtins, &err), err);
    CHECK_OR_STOP(effects != NULL);
    test_schemas();
    test_copy();
    test_concat();
    test_markdown();
    test_query_reads();
    test_query_values();
    registry_close(effects);
    close(rootfd);
    return check_done();
}
