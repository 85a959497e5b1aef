#include "criterion/criterion.h"

#include <sys/wait.h>
#include <unistd.h>

#define CRITERION_SECONDS 600 /* guards against hanging only */

static struct criterion_test *criterion_tests;
static int criterion_failed;


void
criterion_add(struct criterion_test *test)
{
    test->next = criterion_tests;
    criterion_tests = test;
}


void
criterion_check(int fine, int end, const char *file, int line, const char *what)
{
    if (fine) {
        return;
    }

    printf("# %s:%d: %s\n", file, line, what);
    criterion_failed = 1;

    if (end) {
        fflush(stdout);
        _exit(1);
    }
}


int
main(void)
{
    int number = 0, status;
    pid_t pid;
    struct criterion_test *test;

    for (test = criterion_tests; test != NULL; test = test->next) {
        fflush(stdout);
        pid = fork();

        if (pid == 0) {
            alarm(CRITERION_SECONDS);

            if (test->init != NULL) {
                test->init();
            }

            test->run();
            fflush(stdout);
            _exit(criterion_failed);
        }

        if (pid == -1 || waitpid(pid, &status, 0) != pid) {
            perror("fork");
            return 1;
        }

        printf("%s %d - %s\n", status == 0 ? "ok" : "not ok", ++number,
               test->name);
    }

    printf("1..%d\n", number);
    return 0;
}
