#define _GNU_SOURCE /* close_range */

#include "os/nft.h"

#include <errno.h>
#include <nftables/libnftables.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/nft_name.h"

#define NFT_WAIT_MS 30000 /* of a child that says nothing */
#define NFT_OUTPUT_MAX 65536


static void
nft_write(int fd, const char *text, size_t length)
{
    ssize_t n;

    while (length > 0) {
        n = write(fd, text, length);

        if (n <= 0) {
            _exit(1);
        }

        text += n;
        length -= (size_t) n;
    }
}


/* "0" or "1" for how it went, and what is said. */
__attribute__((noreturn)) static void
nft_child(int fd, const char *commands)
{
    struct nft_ctx *nft;
    const char *text;
    int rc;

    /* a transaction of one who died must not follow his successor's */
    (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void) prctl(PR_SET_NAME, NFT_NAME);

    if (dup2(fd, STDERR_FILENO + 1) == -1) {
        _exit(1);
    }

    fd = STDERR_FILENO + 1;
    (void) close_range((unsigned) fd + 1, ~0U, 0);
    nft = nft_ctx_new(NFT_CTX_DEFAULT);

    if (nft == NULL || nft_ctx_buffer_output(nft) != 0 ||
        nft_ctx_buffer_error(nft) != 0) {
        _exit(1);
    }

    rc = nft_run_cmd_from_buffer(nft, commands);
    text = rc == 0 ? nft_ctx_get_output_buffer(nft)
                   : nft_ctx_get_error_buffer(nft);
    nft_write(fd, rc == 0 ? "0" : "1", 1);
    nft_write(fd, text, strnlen(text, NFT_OUTPUT_MAX - 2));
    _exit(0);
}


/* All that the child says, with a NUL; empty if it failed. */
static void
nft_read(int fd, char *said)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    size_t length;
    ssize_t n;
    int rc;

    length = 0;

    while (length < NFT_OUTPUT_MAX - 1) {
        rc = poll(&wait, 1, NFT_WAIT_MS);

        if (rc == -1 && errno == EINTR) {
            continue;
        }

        n = rc == 1 ? read(fd, said + length, NFT_OUTPUT_MAX - 1 - length) : -1;

        if (n == -1) {
            length = 0;
        }

        if (n <= 0) {
            break;
        }

        length += (size_t) n;
    }

    said[length] = '\0';
}


/* Runs the child; what it said is left in said. */
static int
nft_spawn(const char *commands, char *said, struct error *error)
{
    int ends[2];
    pid_t pid;

    if (pipe(ends) == -1) {
        return error_set(error, ERROR_SYSTEM, "cannot make a pipe: %s",
                         strerror(errno));
    }

    pid = fork();

    if (pid == 0) {
        nft_child(ends[1], commands);
    }

    (void) close(ends[1]);

    if (pid == -1) {
        (void) close(ends[0]);
        return error_set(error, ERROR_SYSTEM, "cannot start a process: %s",
                         strerror(errno));
    }

    nft_read(ends[0], said);
    (void) close(ends[0]);

    if (said[0] == '\0') {
        (void) kill(pid, SIGKILL);
    }

    while (waitpid(pid, NULL, 0) == -1 && errno == EINTR) {
    }

    return 0;
}


/* The first line of what nftables complains of. */
static void
nft_error(struct error *error, const char *text)
{
    size_t length;

    length = strcspn(text, "\n");

    (void) error_set(error, ERROR_SYSTEM,
                     "nftables does not take our rules: %.*s (has this "
                     "kernel nf_tables?)",
                     (int) (length < 120 ? length : 120),
                     length > 0 ? text : "it has failed");
}


int
nft_run(const char *commands, char **output, struct error *error)
{
    char *said;
    struct error unheard;

    error = error != NULL ? error : &unheard;
    said = malloc(NFT_OUTPUT_MAX);

    if (said == NULL) {
        return error_set(error, ERROR_NO_MEMORY, "out of memory");
    }

    if (nft_spawn(commands, said, error) != 0) {
        free(said);
        return -1;
    }

    if (said[0] != '0') {
        nft_error(error, said[0] != '\0' ? said + 1 : said);
        free(said);
        return -1;
    }

    if (output == NULL) {
        free(said);
        return 0;
    }

    memmove(said, said + 1, strlen(said));
    *output = said;

    return 0;
}
