// A tool in C, linked with libbpf.so: makes a map, loads a program by libbpf; its first argument says what then.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>

static int load(const char *name, const struct bpf_insn *insns, size_t count)
{
    char log[4096] = "";
    LIBBPF_OPTS(bpf_prog_load_opts, opts, .log_level = 1, .log_buf = log, .log_size = sizeof(log));
    int fd = bpf_prog_load(BPF_PROG_TYPE_SOCKET_FILTER, name, "GPL", insns, count, &opts);

    if (fd < 0)
        fprintf(stderr, "tool: %s: %s\n", name, strerror(-fd));
    return fd;
}

int main(int argc, char **argv)
{
    const struct bpf_insn fine[] = {{.code = 0xb7, .imm = 7}, {.code = 0x95}};
    const struct bpf_insn odd[] = {{.code = 0xbf, .src_reg = 5}, {.code = 0x95}};  // r0 = r5, which nothing set
    const char *what = argc > 1 ? argv[1] : "";
    int map = bpf_map_create(BPF_MAP_TYPE_HASH, "c_counts", 4, 8, 16, NULL), program;

    printf("libbpf %s\n", libbpf_version_string());
    fflush(stdout);
    if (map < 0)
        return 2;
    if (!strcmp(what, "refused"))
        return load("c_refused", odd, 2) < 0;
    program = load("c_prog", fine, 2);
    if (program < 0)
        return 3;
    if (!strcmp(what, "crash"))
        abort();
    if (!strcmp(what, "hang"))
        sleep(1000);
    if (!strcmp(what, "eat"))
        for (char *volatile kept;;) {  // volatile, or the compiler leaves it all out
            kept = malloc(1 << 20);
            memset(kept, 1, 1 << 20);
        }
    if (!strcmp(what, "fork"))
        for (;;)
            fork();
    if (!strcmp(what, "flood")) {
        static char line[1 << 16];

        memset(line, 'x', sizeof(line));
        line[sizeof(line) - 1] = '\n';
        for (int i = 0; i < 1600; i++)
            fwrite(line, sizeof(line), 1, stdout);
        printf("the end\n");
    }
    return atoi(what);
}
