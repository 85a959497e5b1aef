/* The page of this device: its files are in the program. */

#include "daemon/local_parts.h"

#include <string.h>

#define LOCAL_FILE(name, file)                         \
    __asm__(".pushsection .rodata\n"                   \
            ".global local_" #name "\n"                \
            "local_" #name ":\n"                       \
            ".incbin \"agent/daemon/page/" file "\"\n" \
            ".global local_" #name "_end\n"            \
            "local_" #name "_end:\n"                   \
            ".byte 0\n"                                \
            ".popsection\n");                          \
    extern const unsigned char local_##name[]          \
        __attribute__((visibility("hidden")));         \
    extern const unsigned char local_##name##_end[]    \
        __attribute__((visibility("hidden")))

LOCAL_FILE(html, "index.html");
LOCAL_FILE(css, "local.css");
LOCAL_FILE(js, "local.js");

static const local_file_t local_files[] = {
    {"/", "text/html; charset=utf-8", local_html, local_html_end},
    {"/local.css", "text/css; charset=utf-8", local_css, local_css_end},
    {"/local.js", "text/javascript; charset=utf-8", local_js, local_js_end},
};


const local_file_t *
local_file(const char *path)
{
    size_t i;

    for (i = 0; i < sizeof(local_files) / sizeof(local_files[0]); i++) {
        if (strcmp(local_files[i].path, path) == 0) {
            return &local_files[i];
        }
    }

    return NULL;
}
