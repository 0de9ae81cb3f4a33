/* test_plugin.c - plug-ins compiled here: the template, and ones that are wrong in all ways we can think of; build ids. */
#include "engine/effect/plugin.h"

#include "engine/effect/job.h"
#include "tests/check.h"

static const char *source_root(void)
{
    const char *root = getenv("WEIR_SOURCE");
    return root && *root ? root : ".";
}

/* Compile a file of C to <scratch>/<name>; `flags` go to the linker's call. */
static const char *compile(const char *source, const char *name, const char *flags)
{
    char command[2048];
    const char *cc = getenv("CC");
    const char *path = check_path(name);
    snprintf(command, sizeof command, "%s -std=c11 -shared -fPIC %s -I'%s' -o '%s' '%s'", cc && *cc ? cc : "cc", flags,
             source_root(), path, source);
    CHECK_OR_STOP(system(command) == 0);
    return path;
}

static const char *compile_text(const char *text, const char *name, const char *flags)
{
    char file[64], all[4096];
    snprintf(file, sizeof file, "%s.c", name);
    snprintf(all, sizeof all,
             "#include \"engine/weir_effect.h\"\n"
             "static int run(const weir_host *h, weir_job *j) { (void)h; (void)j; return 0; }\n%s\n", text);
    check_write(check_path(file), all);
    return compile(check_path(file), name, flags);
}

static const char *template_path(void)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/effects/template.c", source_root());
    return path;
}

static void refused(registry *r, const char *path, int code, const char *why)
{
    weir_error err = {0};
    size_t first, count, before = registry_count(r);
    CHECK_CODE(code, registry_load(r, path, &first, &count, &err), err);
    CHECK_HAS(why, err.message);
    CHECK_INT(before, registry_count(r));
}

#define ENTRY "WEIR_PLUGIN_EXPORT { return &p; }\n"
#define EFFECT(variable, name)                                                                     \
    "static const weir_effect " variable " = {sizeof(weir_effect), \"" name "\", \"1\", 0, 0, 0, 0, run};\n"

static void test_template(registry *r)
{
    weir_error err = {0};
    size_t first = 99, count = 99;
    const char *path = compile(template_path(), "template.so", "");
    CHECK_OK(registry_load(r, path, &first, &count, &err), err);
    CHECK_INT(0, first);
    CHECK_INT(1, count);
    const registry_entry *entry = registry_find(r, bytes_str("shout"));
    CHECK_OR_STOP(entry != NULL);
    CHECK_BYTES(path, strlen(path), entry->library.data, entry->library.size);

    hash128 build = HASH_NONE;
    CHECK_OK(plugin_build_id(path, &build, &err), err);
    CHECK_HASH(build, entry->build);

    size_t again = 99, more = 99; /* loaded before: the same entries */
    CHECK_OK(registry_load(r, path, &again, &more, &err), err);
    CHECK_INT(first, again);
    CHECK_INT(count, more);
    CHECK_INT(1, registry_count(r));
}

static void test_template_runs(registry *r)
{
    weir_error err = {0};
    char folder[512];
    snprintf(folder, sizeof folder, "%s", check_scratch());
    check_write(check_path("title.txt"), "Hello, weir 5");
    int rootfd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    job_file file = {.port = bytes_str(""), .path = bytes_str("title.txt"), .item = 7};
    job_member member = {.kind = MEMBER_ITEM, .item_type = ITEM_FILE, .name = bytes_str("title.txt"), .id = 7,
                         .files = &file, .file_count = 1};
    job_input input = {.port = bytes_str("text"), .members = &member, .count = 1};
    job_output output = {bytes_str("to"), bytes_str("out.txt"), bytes_str("tmp-1")};
    job_order order = {.id = 1, .kind = EFFECT_C, .inputs = &input, .input_count = 1, .outputs = &output, .output_count = 1, .keep = true};
    job *j = NULL;
    job_report report;
    CHECK_OK(job_perform(registry_find(r, bytes_str("shout")), &order, rootfd, &j, &report, &err), err);
    CHECK(report.ok);
    CHECK_INT(1, report.written_count);
    CHECK_BYTES("HELLO, WEIR 5!", 14, report.written[0].inlined.data, report.written[0].inlined.size);
    job_free(j);

    check_write(check_path("title.txt"), "");
    CHECK_OK(job_perform(registry_find(r, bytes_str("shout")), &order, rootfd, &j, &report, &err), err);
    CHECK(!report.ok);
    CHECK_BYTES("nothing to shout: the text is empty", 35, report.message.data, report.message.size);
    CHECK_INT(1, report.read_count);
    job_free(j);
    close(rootfd);
}

static void test_wrong_ones(registry *r)
{
    refused(r, check_path("absent.so"), WEIR_NOTFOUND, "there is no such file");
    refused(r, check_scratch(), WEIR_WORKFLOW, "not a regular file");
    check_write(check_path("text.so"), "no ELF at all");
    refused(r, check_path("text.so"), WEIR_WORKFLOW, "text.so");
    refused(r, compile_text("int something(void); int something(void) { return run(0, 0); }", "nosymbol.so", ""), WEIR_WORKFLOW,
            "does not export weir_plugin_entry");
    refused(r, compile_text("static const weir_plugin p = {sizeof p, 77, 0};\n" ENTRY
                            "void *keep = (void *)run;", "abi.so", "-w"), WEIR_WORKFLOW, "made for effect ABI 77, this weir has 1");
    refused(r, compile_text("static const weir_plugin p = {8, WEIR_EFFECT_ABI, 0};\n" ENTRY, "small.so", "-w"), WEIR_WORKFLOW,
            "has 8 bytes");
    refused(r, compile_text("static const weir_plugin p = {sizeof p, WEIR_EFFECT_ABI, 0};\n" ENTRY, "empty.so", "-w"),
            WEIR_WORKFLOW, "has no list of effects");
    refused(r, compile_text("WEIR_PLUGIN_EXPORT { return 0; }", "null.so", "-w"), WEIR_WORKFLOW, "gave nothing");
    refused(r, compile_text("extern int nowhere(void); static const weir_plugin p = {sizeof p, WEIR_EFFECT_ABI, 0};\n"
                            "WEIR_PLUGIN_EXPORT { return nowhere() ? &p : 0; }", "link.so", "-w"), WEIR_WORKFLOW, "nowhere");
}

/* All of a plug-in's effects come in, or none. */
static void test_names_taken(registry *r)
{
    const char *text = EFFECT("a", "fresh") EFFECT("b", "shout")
        "static const weir_effect *const l[] = {&a, &b, 0};\nstatic const weir_plugin p = {sizeof p, WEIR_EFFECT_ABI, l};\n" ENTRY;
    const char *path = compile_text(text, "taken.so", "");
    refused(r, path, WEIR_WORKFLOW, "taken.so is already there from ");
    refused(r, path, WEIR_WORKFLOW, "template.so");
    CHECK(registry_find(r, bytes_str("fresh")) == NULL);

    const char *twice = EFFECT("a", "fresh") EFFECT("b", "fresh")
        "static const weir_effect *const l[] = {&a, &b, 0};\nstatic const weir_plugin p = {sizeof p, WEIR_EFFECT_ABI, l};\n" ENTRY;
    refused(r, compile_text(twice, "twice.so", ""), WEIR_WORKFLOW, "the effect \"fresh\"");

    weir_error err = {0};
    size_t first, count;
    const char *good = EFFECT("a", "fresh")
        "static const weir_effect *const l[] = {&a, 0};\nstatic const weir_plugin p = {sizeof p, WEIR_EFFECT_ABI, l};\n" ENTRY;
    CHECK_OK(registry_load(r, compile_text(good, "good.so", ""), &first, &count, &err), err);
    CHECK_INT(1, first);
    CHECK_INT(1, count);
    CHECK(registry_find(r, bytes_str("fresh")) == registry_at(r, 1));
}

static hash128 build_of(const char *path)
{
    weir_error err = {0};
    hash128 build = HASH_NONE;
    CHECK_OK(plugin_build_id(path, &build, &err), err);
    return build;
}

static void test_build_id(void)
{
    weir_error err = {0};
    hash128 build;
    const char *one = compile_text("int x = 1; void *keep = (void *)run;", "one.so", "-w -Wl,--build-id=sha1");
    const char *same = compile_text("int x = 1; void *keep = (void *)run;", "one.so", "-w -Wl,--build-id=sha1");
    const char *two = compile_text("int x = 2; void *keep = (void *)run;", "two.so", "-w -Wl,--build-id=sha1");
    CHECK(hash_equal(build_of(one), build_of(same)));
    CHECK(!hash_equal(build_of(one), build_of(two)));

    /* The note decides: bytes behind it change nothing. Without a note the content does. */
    hash128 before = build_of(one);
    FILE *file = fopen(one, "ab");
    fputs("more", file);
    fclose(file);
    CHECK(hash_equal(before, build_of(one)));
    const char *bare = compile_text("int x = 1; void *keep = (void *)run;", "bare.so", "-w -Wl,--build-id=none");
    before = build_of(bare);
    file = fopen(bare, "ab");
    fputs("more", file);
    fclose(file);
    CHECK(!hash_equal(before, build_of(bare)));

    check_write(check_path("plain"), "\177ELF and nothing more");
    CHECK(hash_equal(hash_bytes("\177ELF and nothing more", 21), build_of(check_path("plain"))));
    check_write(check_path("void"), "");
    CHECK(hash_equal(hash_bytes("", 0), build_of(check_path("void"))));
    CHECK_CODE(WEIR_NOTFOUND, plugin_build_id(check_path("nothing"), &build, &err), err);
    CHECK(!hash_is_none(build_of("/proc/self/exe")));
}

/* Cut and bent ELF files: no crash, some hash. */
static void test_damaged_elf(void)
{
    static uint8_t image[64 * 1024];
    const char *path = compile_text("int x = 3; void *keep = (void *)run;", "elf.so", "-w -Wl,--build-id=sha1");
    FILE *file = fopen(path, "rb");
    size_t size = fread(image, 1, sizeof image, file);
    fclose(file);
    uint32_t random = 12345;
    for (int i = 0; i < 400; i++) {
        random = random * 1664525u + 1013904223u;
        size_t at = 16 + (random >> 8) % 1000;
        uint8_t old = image[at];
        image[at] = (uint8_t)(random >> 24);
        file = fopen(check_path("bent.so"), "wb");
        fwrite(image, 1, i % 4 ? size : (size_t)(random >> 8) % size, file);
        fclose(file);
        CHECK(!hash_is_none(build_of(check_path("bent.so"))));
        image[at] = old;
    }
}

int main(void)
{
    weir_error err = {0};
    registry *r = NULL;
    CHECK_OK(registry_open(&r, NULL, &err), err);
    test_template(r);
    test_template_runs(r);
    test_wrong_ones(r);
    test_names_taken(r);
    test_build_id();
    test_damaged_elf();
    registry_close(r);
    return check_done();
}
