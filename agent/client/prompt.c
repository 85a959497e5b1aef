#include "client/prompt.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>


static int
prompt_read(FILE *file, char answer[PROMPT_SIZE], err_t *err)
{
    size_t len;

    if (fgets(answer, PROMPT_SIZE, file) == NULL) {
        return err_set(err, "usage", "nothing was entered");
    }

    len = strcspn(answer, "\r\n");

    if (answer[len] == '\0' && len == PROMPT_SIZE - 1) {
        return err_set(err, "usage", "the answer is too long");
    }

    answer[len] = '\0';

    if (len == 0) {
        return err_set(err, "usage", "nothing was entered");
    }

    return 0;
}


static int
prompt_ask(const char *question, int echo, char answer[PROMPT_SIZE], err_t *err)
{
    int rc;
    FILE *tty;
    struct termios before, quiet;

    tty = fopen("/dev/tty", "r+e");
    if (tty == NULL) {
        return err_set(err, "usage",
                       "there is no terminal to ask at: use --username and "
                       "--password-file");
    }

    if (tcgetattr(fileno(tty), &before) == -1) {
        fclose(tty);
        return err_errno(err, "usage", "cannot ask at this terminal");
    }

    if (!echo) {
        quiet = before;
        quiet.c_lflag &= ~(tcflag_t) ECHO;
        (void) tcsetattr(fileno(tty), TCSAFLUSH, &quiet);
    }

    fprintf(tty, "%s: ", question);
    fflush(tty);

    rc = prompt_read(tty, answer, err);

    if (!echo) {
        (void) tcsetattr(fileno(tty), TCSAFLUSH, &before);
        fprintf(tty, "\n");
    }

    fclose(tty);
    return rc;
}


int
prompt_line(const char *question, char answer[PROMPT_SIZE], err_t *err)
{
    return prompt_ask(question, 1, answer, err);
}


int
prompt_secret(const char *question, char answer[PROMPT_SIZE], err_t *err)
{
    return prompt_ask(question, 0, answer, err);
}


int
prompt_file(const char *path, char answer[PROMPT_SIZE], err_t *err)
{
    int rc;
    FILE *file;

    if (strcmp(path, "-") == 0) {
        return prompt_read(stdin, answer, err);
    }

    file = fopen(path, "re");
    if (file == NULL) {
        return err_errno(err, "usage", "cannot read %s", path);
    }

    rc = prompt_read(file, answer, err);
    fclose(file);
    return rc;
}
