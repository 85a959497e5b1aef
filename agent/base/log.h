#ifndef GC_BASE_LOG_H
#define GC_BASE_LOG_H

typedef enum {
    LOG_LEVEL_ERROR,
    LOG_LEVEL_WARN,
    LOG_LEVEL_INFO,
    LOG_LEVEL_DEBUG
} log_level_t;


/*
 * Everything up to max goes to standard error, one line each. Where that is
 * the journal, lines carry a <priority> instead of time and level.
 */
void log_init(log_level_t max);

/* 0, or -1 if name is not error, warn, info or debug. */
int log_level_parse(const char *name, log_level_t *level);

void log_write(log_level_t level, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...) log_write(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...) log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
