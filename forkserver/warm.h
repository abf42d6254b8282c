// Makes the first steps of a server's children cheap.
//
// A fork copies no page tables of a file's mapping, code above all: the child faults its way through the code that it runs,
// and at each fault the kernel maps 16 pages for the one that is wanted. Two dozen such faults cost a third of a fork.
// Pages of such a mapping that the process has written to are its own, and a fork copies the entries for them, and for all
// else that is mapped there. So: a fork rehearses what children do and tells which pages it read; these are written to, with
// what is there already; and what else is mapped there is forgotten, so that nothing else is copied.
//
// Nothing changes that a program can see but the addresses' share of memory: some fifty pages are the server's own.
#ifndef BROOD_FORKSERVER_WARM_H_
#define BROOD_FORKSERVER_WARM_H_

#include <cstddef>
#include <cstdint>

#include "forkserver/cold_memory_child.h"

namespace brood::internal {

// In a fork, runs `rehearse`, and warms in this process what that has read between its calls of BeginRehearsing and, at its end,
// DoneRehearsing. Where the
// kernel does not help (before Linux 6.7, or it forbids userfaultfd(2) or writing to /proc/self/mem, or there is a filter of system calls) nothing is lost but
// speed. Of a process with one thread. Returns how many pages were warmed.
//
// `cold`, unless it is null, is filled with what else there is in the mappings that have such pages.
size_t WarmPagesOf(void (*rehearse)(void* arg), void* arg, child::ColdMemory* cold = nullptr);

// What the fork has read so far does not count: it has only prepared.
void BeginRehearsing();

// Ends the fork of WarmPagesOf.
[[noreturn]] void DoneRehearsing();

}  // namespace brood::internal

#endif  // BROOD_FORKSERVER_WARM_H_
