/*
 * Memory that is out, once: preloaded into a program, the allocation whose
 * number GOCONNECT_MEMORY_FAIL holds fails, of those that the program itself
 * and jansson for it ask for (libraries that end the process, or crash, when
 * memory is out are not what is tried).  At the end the file that
 * GOCONNECT_MEMORY_COUNT names gets how many there were.
 */

#define _GNU_SOURCE

#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RANGES_MAX 2

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);

static struct {
    uintptr_t from, to;
} ranges[RANGES_MAX];
static int range_count;
static unsigned long fail_at;
static atomic_ulong count;
static int ready;


static int
memory_object(struct dl_phdr_info *info, size_t size, void *data)
{
    int *first = data;
    uintptr_t end = 0;
    size_t i;

    (void) size;

    if (!*first && strstr(info->dlpi_name, "libjansson") == NULL) {
        return 0;
    }

    for (i = 0; i < info->dlpi_phnum; i++) {
        if (info->dlpi_phdr[i].p_type == PT_LOAD) {
            end = info->dlpi_phdr[i].p_vaddr + info->dlpi_phdr[i].p_memsz;
        }
    }

    ranges[range_count].from = info->dlpi_addr;
    ranges[range_count++].to = info->dlpi_addr + end;
    *first = 0;

    return range_count == RANGES_MAX;
}


/* What the program starts has neither the library nor the numbers. */
__attribute__((constructor)) static void
memory_open(void)
{
    const char *number = getenv("GOCONNECT_MEMORY_FAIL");
    int first = 1;

    if (number != NULL) {
        fail_at = strtoul(number, NULL, 10);
    }

    (void) dl_iterate_phdr(memory_object, &first);
    (void) unsetenv("LD_PRELOAD");
    ready = 1;
}


__attribute__((destructor)) static void
memory_close(void)
{
    const char *name = getenv("GOCONNECT_MEMORY_COUNT");
    int fd;

    if (name == NULL || getenv("GOCONNECT_MEMORY_FAIL") == NULL) {
        return;
    }

    fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (fd != -1) {
        (void) dprintf(fd, "%lu\n", atomic_load(&count));
        (void) close(fd);
    }
}


static int
memory_is_out(const void *caller)
{
    uintptr_t at = (uintptr_t) caller;
    int i;

    for (i = 0; ready && i < range_count; i++) {
        if (at >= ranges[i].from && at < ranges[i].to) {
            if (atomic_fetch_add(&count, 1) + 1 == fail_at) {
                errno = ENOMEM;
                return 1;
            }

            return 0;
        }
    }

    return 0;
}


void *
malloc(size_t size)
{
    return memory_is_out(__builtin_return_address(0)) ? NULL
                                                      : __libc_malloc(size);
}


void *
calloc(size_t number, size_t size)
{
    return memory_is_out(__builtin_return_address(0))
               ? NULL
               : __libc_calloc(number, size);
}


void *
realloc(void *old, size_t size)
{
    return memory_is_out(__builtin_return_address(0))
               ? NULL
               : __libc_realloc(old, size);
}


char *
strdup(const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy =
        memory_is_out(__builtin_return_address(0)) ? NULL : __libc_malloc(size);

    return copy != NULL ? memcpy(copy, text, size) : NULL;
}


char *
strndup(const char *text, size_t most)
{
    size_t size = strnlen(text, most);
    char *copy = memory_is_out(__builtin_return_address(0))
                     ? NULL
                     : __libc_malloc(size + 1);

    if (copy != NULL) {
        memcpy(copy, text, size);
        copy[size] = '\0';
    }

    return copy;
}
