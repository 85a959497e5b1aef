#ifndef GC_INET_H
#define GC_INET_H

/* inet_pton() and inet_ntop(), wherever the system keeps them. */
#ifdef _WIN32
#include <winsock2.h>
#include <ws2tcpip.h>
#else
#include <arpa/inet.h>
#include <netinet/in.h>
#endif

#endif
