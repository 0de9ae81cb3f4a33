/* test_job.c - one job: reads and their groups, outputs, values, packed forms. */
#include "engine/effect/job.h"

#include <errno.h>

#include "engine/store/blob.h"
#include "engine/store/read.h"
#include "engine/store/value.h"
#include "engine/world/scan.h"
#include "tests/check.h"

static int rootfd = -1;
static weir_error err;

/* --- a small order: list "parts" of two files, file "one", node "up" with value and two outputs, variable "env" ---------- */

static job_file part_files[2], one_file, up_files[2];
static job_member part_members[2], one_member, up_member, env_member, unset_member;
static job_input inputs[5];
static job_output outputs[2];
static job_order order;
static buf up_value, env_value, up_params;

static hash128 print_of(const char *text, uint32_t mode)
{
    return scan_fingerprint(hash_bytes(text, strlen(text)), mode);
}

static job_member file_member(const char *path, job_file *file, const char *content, uint64_t item)
{
    *file = (job_file){.port = bytes_str(""), .path = bytes_str(path), .hash = print_of(content, 0644), .item = item};
    check_write(check_path(path), content);
    return (job_member){.kind = MEMBER_ITEM, .item_type = ITEM_FILE, .name = bytes_str(path), .id = item,
                        .files = file, .file_count = 1};
}

static void make_node_member(void)
{
    check_write(check_path("up.html"), "<p>");
    check_write(check_path("up.log"), "log");
    up_files[0] = (job_file){bytes_str("html"), bytes_str("up.html"), print_of("<p>", 0644), 21};
    up_files[1] = (job_file){bytes_str("log"), bytes_str("up.log"), print_of("log", 0644), 22};
    value_put_string(&up_value, bytes_str("body"));
    value_put_object(&up_params, 0);
    up_member = (job_member){.kind = MEMBER_NODE, .name = bytes_str("up[x=1]"), .id = 9, .files = up_files, .file_count = 2,
                             .has_value = true, .value = buf_bytes(&up_value), .params = buf_bytes(&up_params),
                             .value_hash = hash_bytes(up_value.data, up_value.size), .value_path = bytes_str("")};
}

static void make_env_member(void)
{
    value_put_string(&env_value, bytes_str("C"));
    env_member = (job_member){.kind = MEMBER_ITEM, .item_type = ITEM_ENV, .name = bytes_str("LANG"), .id = 31, .has_value = true,
                              .value = buf_bytes(&env_value), .value_hash = hash_bytes(env_value.data, env_value.size),
                              .value_path = bytes_str("")};
    unset_member = (job_member){.kind = MEMBER_ITEM, .item_type = ITEM_ENV, .name = bytes_str("NO"), .id = 32,
                                .value_path = bytes_str("")};
}

enum { IN_ENV, IN_ONE, IN_PARTS, IN_UNSET, IN_UP };

static void make_order(void)
{
    buf_clear(&up_value);
    buf_clear(&env_value);
    buf_clear(&up_params);
    part_members[0] = file_member("a.txt", &part_files[0], "aaa", 11);
    part_members[1] = file_member("b.txt", &part_files[1], "bb", 12);
    one_member = file_member("one.txt", &one_file, "one", 13);
    make_node_member();
    make_env_member();
    inputs[IN_ENV] = (job_input){.port = bytes_str("env"), .is_list = false, .members = &env_member, .count = 1};
    inputs[IN_ONE] = (job_input){.port = bytes_str("one"), .is_list = false, .members = &one_member, .count = 1};
    inputs[IN_PARTS] = (job_input){.port = bytes_str("parts"), .is_list = true, .members = part_members, .count = 2};
    inputs[IN_UNSET] = (job_input){.port = bytes_str("unset"), .is_list = false, .members = &unset_member, .count = 1};
    inputs[IN_UP] = (job_input){.port = bytes_str("up"), .is_list = false, .members = &up_member, .count = 1};
    outputs[0] = (job_output){bytes_str("html"), bytes_str("public/x.html"), bytes_str(".weir/tmp/1-0")};
    outputs[1] = (job_output){bytes_str("log"), bytes_str("public/x.log"), bytes_str(".weir/tmp/1-1")};
    order = (job_order){.id = 5, .node = bytes_str("x"), .effect = bytes_str("e"), .kind = EFFECT_C, .library = bytes_str(""),
                        .params = VALUE_EMPTY_OBJECT, .inputs = inputs, .input_count = 5, .outputs = outputs,
                        .output_count = 0, .keep = true};
}

static job *begin(size_t output_count)
{
    job *j = NULL;
    order.output_count = output_count;
    CHECK_OK(job_new(&j, &order, rootfd, &err), err);
    CHECK_OR_STOP(j != NULL);
    return j;
}

static const job_read *find(const job_report *r, read_aspect aspect, int port, int member, int sub)
{
    for (size_t i = 0; i < r->read_count; i++) {
        read_ref ref = r->reads[i].ref;
        if (ref.aspect == aspect && ref.port == port && ref.member == member && ref.sub == sub) return &r->reads[i];
    }
    return NULL;
}

static void is_text(const char *expected, bytes got)
{
    CHECK_BYTES(expected, strlen(expected), got.data, got.size);
}

/* --- reads ------------------------------------------------------------------------------------------------------------ */

static void test_reads_once(void)
{
    job_report r;
    bytes content, again;
    job *j = begin(0);
    CHECK_INT(0, job_read_content(j, IN_ONE, 0, -1, &content));
    is_text("one", content);
    CHECK_INT(0, content.data[content.size]);
    check_write(check_path("one.txt"), "other");
    CHECK_INT(0, job_read_content(j, IN_ONE, 0, -1, &again));
    CHECK(again.data == content.data);
    CHECK_INT(0, job_read_file(j, bytes_str("./one.txt"), &again)); /* declared: the same read */
    CHECK(again.data == content.data);
    job_finish(j, NULL, &r);
    CHECK(r.ok);
    CHECK_INT(1, r.read_count);
    CHECK(hash_equal(one_file.hash, r.reads[0].hash));
    CHECK(!r.reads[0].differs);
    CHECK_INT(13, r.reads[0].source);
    CHECK(!r.reads[0].source_is_node);
    CHECK_INT(5, r.id);
    job_free(j);

    j = begin(0); /* the engine believes in "one", the disk says "other" */
    CHECK_INT(0, job_read_content(j, IN_ONE, 0, -1, &content));
    is_text("other", content);
    job_finish(j, NULL, &r);
    CHECK(r.reads[0].differs);
    CHECK(hash_equal(print_of("other", 0644), r.reads[0].hash));
    job_free(j);
    check_write(check_path("one.txt"), "one");

    CHECK_INT(0, chmod(check_path("one.txt"), 0755)); /* an execute bit is content */
    j = begin(0);
    CHECK_INT(0, job_read_content(j, IN_ONE, 0, -1, &content));
    job_finish(j, NULL, &r);
    CHECK(r.reads[0].differs);
    CHECK(hash_equal(print_of("one", 0755), r.reads[0].hash));
    job_free(j);
    CHECK_INT(0, chmod(check_path("one.txt"), 0644));
}

static void test_aspects(void)
{
    job_report r;
    bytes got;
    size_t count;
    job *j = begin(2);
    CHECK_INT(0, job_read_value(j, IN_UP, 0, &got));
    CHECK_BYTES(up_value.data, up_value.size, got.data, got.size);
    CHECK_INT(0, job_read_params(j, IN_UP, 0, &got));
    CHECK_INT(0, job_read_content(j, IN_UP, 0, 1, &got));
    is_text("log", got);
    CHECK_INT(0, job_read_path(j, IN_UP, 0, 0, &got));
    is_text("up.html", got);
    CHECK_INT(0, job_read_names(j, IN_PARTS, &count));
    CHECK_INT(2, count);
    CHECK_INT(0, job_read_names(j, IN_UP, &count));
    CHECK_INT(1, count);
    CHECK_INT(0, job_read_outpath(j, 1, &got));
    is_text("public/x.log", got);
    CHECK_INT(0, job_read_content(j, IN_ENV, 0, -1, &got));
    is_text("C", got);
    CHECK_INT(0, job_read_value(j, IN_ENV, 0, &got)); /* one read: content */
    CHECK_BYTES(env_value.data, env_value.size, got.data, got.size);
    CHECK_INT(0, job_read_value(j, IN_UNSET, 0, &got));
    CHECK(got.data == NULL);
    job_finish(j, "stopped", &r);
    CHECK(!r.ok);
    is_text("stopped", r.message);
    CHECK_INT(9, r.read_count);

    const job_read *read = find(&r, ASPECT_VALUE, IN_UP, 0, -1);
    CHECK(read && hash_equal(up_member.value_hash, read->hash) && read->source == 9 && read->source_is_node);
    read = find(&r, ASPECT_PARAMS, IN_UP, 0, -1);
    CHECK(read && hash_equal(read_params_hash(VALUE_EMPTY_OBJECT), read->hash) && read->source_is_node);
    read = find(&r, ASPECT_CONTENT, IN_UP, 0, 1);
    CHECK(read && hash_equal(up_files[1].hash, read->hash) && read->source == 22);
    read = find(&r, ASPECT_PATH, IN_UP, 0, 0);
    CHECK(read && hash_equal(read_path_hash(bytes_str("up.html")), read->hash));
    bytes paths[2] = {bytes_str("a.txt"), bytes_str("b.txt")};
    read = find(&r, ASPECT_NAMES, IN_PARTS, -1, -1);
    CHECK(read && hash_equal(read_names_hash(paths, 2), read->hash));
    bytes up_name = bytes_str("up[x=1]");
    read = find(&r, ASPECT_NAMES, IN_UP, -1, -1);
    CHECK(read && hash_equal(read_names_hash(&up_name, 1), read->hash));
    read = find(&r, ASPECT_OUTPATH, 1, -1, -1);
    CHECK(read && hash_equal(read_path_hash(bytes_str("public/x.log")), read->hash));
    read = find(&r, ASPECT_CONTENT, IN_ENV, 0, -1);
    CHECK(read && hash_equal(env_member.value_hash, read->hash) && read->source == 31 && !read->source_is_node);
    read = find(&r, ASPECT_CONTENT, IN_UNSET, 0, -1);
    CHECK(read && hash_equal(HASH_ABSENT, read->hash));
    for (size_t i = 0; i < r.read_count; i++) CHECK_INT(0, r.reads[i].group);
    job_free(j);
}

static void failed(job *j, int code, int got, const char *why)
{
    CHECK_INT(code, got);
    CHECK_HAS(why, job_error(j));
}

static void test_wrong_reads(void)
{
    bytes got;
    job *j = begin(0);
    failed(j, WEIR_USAGE, job_read_content(j, IN_UP, 0, -1, &got), "has 2 outputs: say which one, as in node.html");
    failed(j, WEIR_USAGE, job_read_content(j, IN_UP, 0, 2, &got), "number 2 was asked for");
    failed(j, WEIR_USAGE, job_read_content(j, IN_PARTS, 2, -1, &got), "input \"parts\" has 2 members");
    failed(j, WEIR_USAGE, job_read_content(j, 9, 0, -1, &got), "no input number 9");
    failed(j, WEIR_USAGE, job_read_value(j, IN_ONE, 0, &got), "this is a file: read it");
    failed(j, WEIR_USAGE, job_read_params(j, IN_ONE, 0, &got), "it has no params");
    failed(j, WEIR_USAGE, job_read_path(j, IN_ENV, 0, -1, &got), "is no file");
    CHECK_INT(-1, job_find_input(j, bytes_str("x")));
    CHECK_INT(IN_UP, job_find_input(j, bytes_str("up")));
    job_report r;
    job_finish(j, NULL, &r);
    CHECK(r.ok); /* it was the effect's affair */
    CHECK_INT(0, r.read_count);
    job_free(j);

    unlink(check_path("one.txt"));
    j = begin(0);
    failed(j, WEIR_NOTFOUND, job_read_content(j, IN_ONE, 0, -1, &got), "input \"one\": there is no file one.txt");
    job_finish(j, job_error(j), &r);
    CHECK_INT(1, r.read_count);
    CHECK(hash_equal(HASH_ABSENT, r.reads[0].hash) && r.reads[0].differs);
    job_free(j);

    CHECK_INT(0, mkdir(check_path("one.txt"), 0755));
    j = begin(0);
    failed(j, WEIR_IO, job_read_content(j, IN_ONE, 0, -1, &got), "it is a folder");
    failed(j, WEIR_IO, job_read_content(j, IN_ONE, 0, -1, &got), "it is a folder");
    job_finish(j, NULL, &r);
    CHECK_INT(1, r.read_count);
    CHECK(hash_equal(hash_bytes("weir dir", 8), r.reads[0].hash));
    job_free(j);
    rmdir(check_path("one.txt"));
    CHECK_INT(0, mkfifo(check_path("one.txt"), 0644)); /* must not stop us */
    j = begin(0);
    failed(j, WEIR_IO, job_read_content(j, IN_ONE, 0, -1, &got), "no regular file");
    job_free(j);
    unlink(check_path("one.txt"));
    check_write(check_path("one.txt"), "one");
}

/* The value of a node in a file: verified. */
static void test_value_from_file(void)
{
    bytes got;
    job_member kept = up_member;
    char text[] = "\x05\x04" "body";
    check_write(check_path("value"), text);
    up_member.value = (bytes){NULL, 0};
    up_member.value_path = bytes_str("value");
    job *j = begin(0);
    CHECK_INT(0, job_read_value(j, IN_UP, 0, &got));
    CHECK_BYTES(text, 6, got.data, got.size);
    job_free(j);
    check_write(check_path("value"), "\x05\x04" "bodx");
    j = begin(0);
    failed(j, WEIR_CORRUPT, job_read_value(j, IN_UP, 0, &got), "is damaged");
    job_free(j);
    unlink(check_path("value"));
    j = begin(0);
    failed(j, WEIR_NOTFOUND, job_read_value(j, IN_UP, 0, &got), "is gone");
    job_free(j);
    up_member = kept;
}

/* --- files by path, and groups ----------------------------------------------------------------------------------------- */

static void test_groups(void)
{
    job_report r;
    bytes got;
    check_write(check_path("inc1"), "1");
    CHECK_INT(0, mkdir(check_path("sub"), 0755));
    check_write(check_path("sub/inc2"), "22");
    job *j = begin(1);
    CHECK_INT(0, job_read_content(j, IN_PARTS, 0, -1, &got));                /* 0 */
    CHECK_INT(0, job_read_content(j, IN_PARTS, 1, -1, &got));                /* 0 */
    CHECK_INT(0, job_read_file(j, bytes_str("inc1"), &got));                 /* 1 */
    is_text("1", got);
    CHECK_INT(0, job_read_file(j, bytes_str("sub/../sub//inc2"), &got));     /* 2 */
    is_text("22", got);
    CHECK_INT(0, job_read_file(j, bytes_str("inc1"), &got));                 /* known */
    CHECK_INT(0, job_read_content(j, IN_ONE, 0, -1, &got));                  /* 3 */
    CHECK_INT(0, job_read_value(j, IN_UP, 0, &got));                         /* 3 */
    CHECK_INT(0, job_read_content(j, IN_PARTS, 0, -1, &got));                /* known */
    CHECK_INT(0, job_read_file(j, bytes_str("absent"), &got));               /* 4 */
    CHECK(got.data == NULL);
    CHECK_INT(0, job_read_file(j, bytes_str("b.txt"), &got));                /* declared and known */
    is_text("bb", got);
    CHECK_INT(0, job_write(j, 0, bytes_str("x")));
    job_finish(j, NULL, &r);
    CHECK(r.ok);
    CHECK_INT(7, r.read_count);
    static const uint32_t groups[] = {0, 0, 1, 2, 3, 3, 4};
    for (size_t i = 0; i < 7 && i < r.read_count; i++) CHECK_INT(groups[i], r.reads[i].group);
    CHECK_INT(-1, r.reads[3].ref.port);
    is_text("sub/inc2", r.reads[3].path);
    CHECK(hash_equal(print_of("22", 0644), r.reads[3].hash));
    is_text("absent", r.reads[6].path);
    CHECK(hash_equal(HASH_ABSENT, r.reads[6].hash));
    job_free(j);

    j = begin(0); /* a found file first: it has group 0 for itself */
    CHECK_INT(0, job_read_file(j, bytes_str("inc1"), &got));
    CHECK_INT(0, job_read_content(j, IN_ONE, 0, -1, &got));
    job_finish(j, NULL, &r);
    CHECK_INT(0, r.reads[0].group);
    CHECK_INT(1, r.reads[1].group);
    job_free(j);
}

static void test_forbidden_files(void)
{
    bytes got;
    check_write(check_path(".weir/weir.db"), "db");
    CHECK_INT(0, link(check_path(".weir/weir.db"), check_path("innocent")));
    CHECK_INT(0, symlink(".weir", check_path("way")));
    CHECK_INT(0, symlink("/etc/passwd", check_path("out")));
    job *j = begin(1);
    failed(j, WEIR_USAGE, job_read_file(j, bytes_str(".weir/weir.db"), &got), "state folder");
    failed(j, WEIR_USAGE, job_read_file(j, bytes_str("way/weir.db"), &got), "state folder");
    failed(j, WEIR_USAGE, job_read_file(j, bytes_str("innocent"), &got), "weir's own state");
    failed(j, WEIR_USAGE, job_read_file(j, bytes_str("public/x.html"), &got), "output of this node");
    CHECK(job_read_file(j, bytes_str("../x"), &got) != 0);
    CHECK(job_read_file(j, bytes_str("/etc/passwd"), &got) != 0);
    CHECK(job_read_file(j, bytes_str("out"), &got) != 0);
    CHECK(job_read_file(j, bytes_str(""), &got) != 0);
    failed(j, WEIR_USAGE, job_read_system(j, bytes_str("etc/passwd"), &got), "not an absolute path");
    CHECK_INT(0, job_read_system(j, bytes_str("/proc/self/comm"), &got));
    CHECK(got.size > 0);
    job_report r;
    job_finish(j, "x", &r);
    CHECK_INT(1, r.read_count);
    job_free(j);
}

/* --- outputs ------------------------------------------------------------------------------------------------------------ */

static char *content_of(const char *name, size_t *size)
{
    static char text[1 << 20];
    FILE *file = fopen(check_path(name), "rb");
    *size = file ? fread(text, 1, sizeof text, file) : 0;
    if (file) fclose(file);
    return text;
}

static void is_written(const job_report *r, size_t index, const char *temp, const void *content, size_t size, uint32_t mode)
{
    size_t have;
    struct stat st;
    char *got = content_of(temp, &have);
    CHECK_BYTES(content, size, got, have);
    CHECK_OR_STOP(r->ok && index < r->written_count);
    const job_written *w = &r->written[index];
    CHECK_INT(size, w->size);
    CHECK_INT(mode, w->mode);
    CHECK(hash_equal(hash_bytes(content, size), w->content));
    CHECK(hash_equal(scan_fingerprint(w->content, mode), w->hash));
    CHECK(w->is_inline == (size <= BLOB_INLINE));
    if (w->is_inline) CHECK_BYTES(content, size, w->inlined.data, w->inlined.size);
    CHECK(stat(check_path(temp), &st) == 0 && (st.st_mode & 07777) == mode);
}

static void test_outputs(void)
{
    static char large[300 * 1000];
    job_report r;
    for (size_t i = 0; i < sizeof large; i++) large[i] = (char)(i * 7 + i / 1000);
    mode_t umask_before = umask(077);
    job *j = begin(2);
    CHECK_INT(0, job_write(j, 0, bytes_str("ab")));
    CHECK_INT(0, job_write(j, 0, bytes_str("c")));
    for (size_t at = 0; at < sizeof large; at += 60000) CHECK_INT(0, job_write(j, 1, bytes_of(large + at, 60000)));
    job_mode(j, 1, 04755);
    job_finish(j, NULL, &r);
    is_written(&r, 0, ".weir/tmp/1-0", "abc", 3, 0644);
    is_written(&r, 1, ".weir/tmp/1-1", large, sizeof large, 0755);
    job_free(j);
    umask(umask_before);

    j = begin(2); /* nothing written is no output; an empty one is */
    CHECK_INT(0, job_write(j, 0, bytes_str("")));
    job_finish(j, NULL, &r);
    CHECK(!r.ok);
    is_text("output \"log\": was not written (public/x.log)", r.message);
    CHECK_INT(0, r.written_count);
    CHECK(access(check_path(".weir/tmp/1-0"), F_OK) != 0);
    job_free(j);

    j = begin(1);
    CHECK_INT(0, job_write(j, 0, bytes_str("")));
    job_finish(j, NULL, &r);
    is_written(&r, 0, ".weir/tmp/1-0", "", 0, 0644);
    job_free(j);
}

static void test_temp(void)
{
    job_report r;
    bytes path;
    job *j = begin(2);
    CHECK_INT(0, job_temp(j, 0, &path));
    is_text(".weir/tmp/1-0", path);
    check_write(check_path(".weir/tmp/1-0"), "by other means");
    CHECK_INT(0, chmod(check_path(".weir/tmp/1-0"), 0711));
    CHECK_INT(0, job_write(j, 1, bytes_str("x")));
    job_finish(j, NULL, &r);
    is_written(&r, 0, ".weir/tmp/1-0", "by other means", 14, 0755);
    job_free(j);

    j = begin(1);
    CHECK_INT(0, job_temp(j, 0, &path));
    job_finish(j, NULL, &r);
    CHECK(!r.ok);
    is_text("output \"html\": was not written (.weir/tmp/1-0)", r.message);
    job_free(j);

    j = begin(1);
    CHECK_INT(0, job_temp(j, 0, &path));
    CHECK_INT(0, symlink("/etc/passwd", check_path(".weir/tmp/1-0")));
    job_finish(j, NULL, &r);
    CHECK(!r.ok);
    CHECK(access(check_path(".weir/tmp/1-0"), F_OK) != 0);
    job_free(j);

    j = begin(1);
    CHECK_INT(0, job_write(j, 0, bytes_str("x")));
    CHECK(job_temp(j, 0, &path) != 0);
    job_finish(j, NULL, &r); /* that error counts even if it is ignored */
    CHECK(!r.ok);
    CHECK_HAS("was written to already", (const char *)r.message.data);
    job_free(j);
}

static void test_copy(void)
{
    static char all[500 * 1000 + 16];
    job_report r;
    bytes got;
    size_t size = 500 * 1000;
    for (size_t i = 0; i < size; i++) all[i] = (char)('a' + (i / 77 + i) % 26);
    all[size] = '\0';
    check_write(check_path("one.txt"), all);
    one_file.hash = print_of(all, 0644);
    memcpy(all + size, "+aaa+bb", 8);

    job *j = begin(2);
    CHECK_INT(0, job_copy(j, 0, IN_ONE, 0)); /* large: by the kernel */
    CHECK_INT(0, job_write(j, 0, bytes_str("+")));
    CHECK_INT(0, job_copy(j, 0, IN_PARTS, 0));
    CHECK_INT(0, job_write(j, 0, bytes_str("+")));
    CHECK_INT(0, job_copy(j, 0, IN_PARTS, 1));
    CHECK_INT(0, job_copy(j, 1, IN_ENV, 0)); /* a value: its text */
    CHECK_INT(0, job_read_content(j, IN_PARTS, 0, -1, &got)); /* read behind a copy: content, no second record */
    is_text("aaa", got);
    CHECK_INT(0, job_copy(j, 1, IN_PARTS, 0)); /* copied behind a read */
    job_finish(j, NULL, &r);
    is_written(&r, 0, ".weir/tmp/1-0", all, size + 7, 0644);
    is_written(&r, 1, ".weir/tmp/1-1", "Caaa", 4, 0644);
    CHECK_INT(4, r.read_count);
    const job_read *read = find(&r, ASPECT_CONTENT, IN_ONE, 0, -1);
    CHECK(read && !read->differs && hash_equal(one_file.hash, read->hash));
    job_free(j);

    /* A large file behind something already in the output: what is hashed is the part that arrived. */
    j = begin(1);
    CHECK_INT(0, job_copy(j, 0, IN_PARTS, 1));
    CHECK_INT(0, job_copy(j, 0, IN_ONE, 0));
    job_finish(j, NULL, &r);
    read = find(&r, ASPECT_CONTENT, IN_ONE, 0, -1);
    CHECK(r.ok && read && !read->differs);
    CHECK_INT(size + 2, r.written[0].size);
    job_free(j);

    one_file.path = bytes_str("gone.txt");
    j = begin(1);
    CHECK(job_copy(j, 0, IN_ONE, 0) != 0);
    CHECK(job_copy(j, 0, IN_UP, 0) != 0); /* two outputs: which? */
    job_finish(j, NULL, &r);
    CHECK(!r.ok);
    CHECK_INT(1, r.read_count);
    CHECK(hash_equal(HASH_ABSENT, r.reads[0].hash));
    job_free(j);
    make_order();
}

static void test_write_fails(void)
{
    job_report r;
    job *j = begin(1);
    CHECK_INT(0, job_write(j, 0, bytes_str("x")));
    os_fault_set(OS_OP_WRITE, 1, ENOSPC, false);
    job_finish(j, NULL, &r);
    os_fault_set(OS_OP_WRITE, 0, 0, false);
    CHECK(!r.ok);
    CHECK_HAS("output \"html\": cannot write .weir/tmp/1-0: No space left", (const char *)r.message.data);
    CHECK(access(check_path(".weir/tmp/1-0"), F_OK) != 0);
    job_free(j);
}

/* --- value, log, impurity ----------------------------------------------------------------------------------------------- */

static void test_value_and_log(void)
{
    job_report r;
    job *j = begin(0);
    CHECK_INT(0, job_value(j, bytes_of("\x01", 1)));
    CHECK_INT(0, job_value(j, bytes_of("\x02", 1))); /* the last one counts */
    job_log(j, bytes_str("hello\n"));
    job_impure(j, "table x");
    job_impure(j, "table y");
    job_finish(j, NULL, &r);
    CHECK(r.ok && r.has_value && r.impure);
    CHECK_BYTES("\x02", 1, r.value.data, r.value.size);
    CHECK(hash_equal(hash_bytes("\x02", 1), r.value_hash));
    is_text("hello\n", r.log);
    is_text("table x", r.impure_what);
    job_free(j);

    static char noise[400 * 1000];
    memset(noise, 'n', sizeof noise);
    j = begin(0);
    for (int i = 0; i < 5; i++) job_log(j, bytes_of(noise, sizeof noise));
    CHECK(job_value(j, bytes_of("\x01\x01", 2)) != 0);
    job_finish(j, NULL, &r);
    CHECK(r.log.size > 1000 * 1000 && r.log.size <= 1024 * 1024);
    CHECK(!r.ok && !r.has_value); /* a bad value is a failure */
    job_free(j);

    j = begin(0);
    job_finish(j, "two\nlines\n", &r);
    is_text("two lines", r.message);
    job_free(j);
}

/* --- packed forms ------------------------------------------------------------------------------------------------------- */

static void test_order_wire(void)
{
    buf b, again;
    mem_arena arena;
    job_order got;
    buf_init(&b);
    buf_init(&again);
    arena_init(&arena);
    order.output_count = 2;
    order.timeout_ms = 1234;
    job_order_put(&b, &order);
    CHECK_OK(job_order_get(buf_bytes(&b), &arena, &got, &err), err);
    job_order_put(&again, &got);
    CHECK_BYTES(b.data, b.size, again.data, again.size);
    CHECK_INT(5, got.input_count);
    CHECK_STR("up.log", (const char *)got.inputs[IN_UP].members[0].files[1].path.data); /* NUL behind it */
    CHECK_STR(".weir/tmp/1-1", (const char *)got.outputs[1].temp.data);
    CHECK_INT(1234, got.timeout_ms);
    CHECK(got.keep && got.inputs[IN_PARTS].is_list);

    for (size_t cut = 0; cut < b.size; cut++) {
        arena_reset(&arena);
        CHECK_CODE(WEIR_CORRUPT, job_order_get(bytes_of(b.data, cut), &arena, &got, &err), err);
    }
    for (size_t i = 0; i < b.size * 8; i++) { /* every bit: no crash */
        b.data[i / 8] ^= (uint8_t)(1u << (i % 8));
        arena_reset(&arena);
        (void)job_order_get(buf_bytes(&b), &arena, &got, &err);
        b.data[i / 8] ^= (uint8_t)(1u << (i % 8));
    }
    arena_deinit(&arena);
    buf_deinit(&b);
    buf_deinit(&again);
}

static void test_report_wire(void)
{
    buf b, again;
    mem_arena arena;
    job_report r, got;
    bytes content;
    buf_init(&b);
    buf_init(&again);
    arena_init(&arena);
    job *j = begin(2);
    CHECK_INT(0, job_read_content(j, IN_PARTS, 0, -1, &content));
    CHECK_INT(0, job_read_value(j, IN_UP, 0, &content));
    CHECK_INT(0, job_read_file(j, bytes_str("inc1"), &content));
    CHECK_INT(0, job_write(j, 0, bytes_str("out")));
    CHECK_INT(0, job_write(j, 1, bytes_str("")));
    CHECK_INT(0, job_value(j, bytes_of("\x02", 1)));
    job_log(j, bytes_str("line\n"));
    job_finish(j, NULL, &r);
    job_report_put(&b, &r);
    CHECK_OK(job_report_get(buf_bytes(&b), &arena, &got, &err), err);
    job_report_put(&again, &got);
    CHECK_BYTES(b.data, b.size, again.data, again.size);
    CHECK_INT(3, got.read_count);
    CHECK_STR("inc1", (const char *)got.reads[2].path.data);
    CHECK_INT(1, got.reads[2].group);
    is_text("out", got.written[0].inlined);
    CHECK(got.ok && got.has_value && hash_equal(r.value_hash, got.value_hash));
    for (size_t cut = 0; cut < b.size; cut++) {
        arena_reset(&arena);
        CHECK_CODE(WEIR_CORRUPT, job_report_get(bytes_of(b.data, cut), &arena, &got, &err), err);
    }
    for (size_t i = 0; i < b.size * 8; i++) {
        b.data[i / 8] ^= (uint8_t)(1u << (i % 8));
        arena_reset(&arena);
        (void)job_report_get(buf_bytes(&b), &arena, &got, &err);
        b.data[i / 8] ^= (uint8_t)(1u << (i % 8));
    }
    job_free(j);
    arena_deinit(&arena);
    buf_deinit(&b);
    buf_deinit(&again);
}

/* The n-th allocation fails: an error or a failed report, never a crash or a good report with something missing. */
/* --- folders ---------------------------------------------------------------------------------------------------------- */

static bytes read_temp(const char *path)
{
    static buf content;
    buf_clear(&content);
    CHECK_OK(os_read_file(rootfd, path, 1000, &content, &err), err);
    return buf_bytes(&content);
}

/* The temp of an output that is a folder is one; its parts take what an output takes. */
static void test_folder_output(void)
{
    static char large[100 * 1000];
    job_report r;
    size_t a = 0, b = 0, same = 0, other = 0;
    bytes text;
    os_stat st;
    job_output kept = outputs[0];
    outputs[0] = (job_output){bytes_str("site"), bytes_str("public/"), bytes_str(".weir/tmp/1-0")};
    job *j = begin(2);
    memset(large, 'x', sizeof large);
    CHECK_INT(0, job_part_named(j, 0, bytes_str("sub/a.txt"), &a));
    CHECK_INT(0, job_part_named(j, 0, bytes_str("b"), &b));
    CHECK_INT(0, job_part_named(j, 0, bytes_str("./sub//a.txt"), &same));
    CHECK_INT(a, same);
    CHECK_INT(0, job_write(j, a, bytes_str("1")));
    CHECK_INT(0, job_write(j, b, bytes_of(large, sizeof large)));
    CHECK_INT(0, job_write(j, a, bytes_str("2")));
    CHECK_INT(0, job_copy(j, a, IN_ONE, 0));
    job_mode(j, b, 0755);
    CHECK_INT(0, job_part_path(j, a, &text));
    is_text("public/sub/a.txt", text);
    CHECK_INT(0, job_write(j, 1, bytes_str("log")));
    job_finish(j, NULL, &r);
    CHECK(r.ok);
    CHECK_INT(2, r.written_count);
    CHECK(hash_is_none(r.written[0].hash));
    CHECK(!hash_is_none(r.written[1].hash));
    is_text("12one", read_temp(".weir/tmp/1-0/sub/a.txt"));
    CHECK_OK(os_statat(rootfd, ".weir/tmp/1-0/b", false, &st, &err), err);
    CHECK_INT(sizeof large, st.size);
    CHECK(st.mode & 0100);
    job_free(j);

    j = begin(1); /* nothing is left of before, and nothing at all after a failure */
    CHECK_INT(0, job_part_named(j, 0, bytes_str("c"), &a));
    CHECK_OK(os_statat(rootfd, ".weir/tmp/1-0/b", false, &st, &err), err);
    CHECK_INT(OS_ABSENT, st.type);
    CHECK_INT(0, job_part_named(j, 0, bytes_str("d"), &other));
    CHECK(job_part_named(j, 0, bytes_str("../d"), &b) != 0);
    job_finish(j, NULL, &r);
    CHECK(!r.ok);
    CHECK_HAS("is no file in it", (const char *)r.message.data);
    CHECK_OK(os_statat(rootfd, ".weir/tmp/1-0", false, &st, &err), err);
    CHECK_INT(OS_ABSENT, st.type);
    job_free(j);

    j = begin(1);
    CHECK(job_write(j, 0, bytes_str("x")) != 0);
    CHECK_HAS("is the folder public/", job_error(j));
    job_free(j);
    outputs[0] = kept;
}

/* Names are one read, each file that is looked at another, the whole one more. */
static void test_folder_input(void)
{
    job_report r;
    bytes got, none;
    job_file folder = {bytes_str("site"), bytes_str("made/"), HASH_NONE, 41};
    job_member kept = one_member;
    CHECK_OK(os_make_parents(rootfd, "made/sub/x", NULL, NULL, &err), err);
    check_write(check_path("made/sub/a"), "alpha");
    check_write(check_path("made/b"), "beta");
    one_member = (job_member){.kind = MEMBER_OUTPUT, .name = bytes_str("up"), .id = 9, .files = &folder, .file_count = 1};
    job *j = begin(0);
    CHECK_INT(0, job_read_files(j, IN_ONE, 0, -1, &got));
    value_reader reader = value_read(got);
    value_item item;
    CHECK(value_next(&reader, &item) && item.type == VALUE_ARRAY && item.count == 2);
    CHECK(value_next(&reader, &item) && bytes_equal(item.text, bytes_str("b")));
    CHECK_INT(0, job_read_below(j, IN_ONE, 0, -1, bytes_str("sub/a"), &got));
    is_text("alpha", got);
    CHECK_INT(0, job_read_below(j, IN_ONE, 0, -1, bytes_str("no"), &none));
    CHECK(none.data == NULL);
    CHECK(job_read_below(j, IN_ONE, 0, -1, bytes_str("../up.log"), &none) != 0);
    job_finish(j, NULL, &r);
    CHECK(r.ok);
    CHECK_INT(4, r.read_count);
    CHECK(find(&r, ASPECT_PATH, IN_ONE, 0, -1) != NULL); /* where the folder is: once, however many of its files are read */
    CHECK(find(&r, ASPECT_NAMES, IN_ONE, 0, -1) != NULL);
    CHECK(find(&r, ASPECT_CONTENT, IN_ONE, 0, -1) == NULL);
    job_free(j);
    j = begin(0);
    CHECK_INT(0, job_read_content(j, IN_ONE, 0, -1, &got));
    CHECK_HAS("weir folder 1\nfile ", (const char *)got.data);
    job_finish(j, NULL, &r);
    CHECK_INT(1, r.read_count);
    CHECK(hash_equal(hash_bytes(got.data, got.size), r.reads[0].hash));
    job_free(j);
    one_member = kept;
}

static void test_no_memory(void)
{
    bool ended = false;
    for (int64_t n = 1; n < 200 && !ended; n++) {
        job *j = NULL;
        job_report r = {.ok = false};
        bytes content;
        order.output_count = 1;
        mem_fail_at(n, true);
        int rc = job_new(&j, &order, rootfd, &err);
        if (rc == 0) {
            (void)job_read_content(j, IN_PARTS, 0, -1, &content);
            (void)job_read_file(j, bytes_str("inc1"), &content);
            (void)job_copy(j, 0, IN_PARTS, 1);
            (void)job_value(j, bytes_of("\x02", 1));
            job_finish(j, NULL, &r);
        }
        mem_fail_at(0, false);
        if (r.ok) CHECK(r.read_count == 3 && r.written_count == 1 && r.has_value && r.written[0].size == 2);
        ended = r.ok;
        job_free(j);
    }
    CHECK(ended);
}

int main(void)
{
    rootfd = open(check_scratch(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK_OR_STOP(rootfd >= 0 && mkdir(check_path(".weir"), 0755) == 0 && mkdir(check_path(".weir/tmp"), 0755) == 0);
    buf_init(&up_value);
    buf_init(&env_value);
    buf_init(&up_params);
    make_order();
    test_reads_once();
    test_aspects();
    test_wrong_reads();
    test_value_from_file();
    test_groups();
    test_forbidden_files();
    test_outputs();
    test_temp();
    test_copy();
    test_write_fails();
    test_value_and_log();
    test_order_wire();
    test_report_wire();
    test_folder_output();
    test_folder_input();
    test_no_memory();
    buf_deinit(&up_value);
    buf_deinit(&env_value);
    buf_deinit(&up_params);
    close(rootfd);
    return check_done();
}
