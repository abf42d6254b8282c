#include "bootstrap/exit.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <typeinfo>
#include <utility>

#ifdef __GLIBC__
#include <ext/stdio_sync_filebuf.h>
#include <stdio_ext.h>
#endif

#include "absl/strings/str_cat.h"
#include "base/fork_generation.h"
#include "base/own_process.h"
#include "base/thread_count.h"
#include "bootstrap/finalizer.h"
#include "bootstrap/log.h"

namespace brood {
namespace {

thread_local int t_scopes = 0;
std::atomic<void (*)()> g_end_children = nullptr;
std::atomic<uint64_t> g_end_children_of = 0;

void (*g_exit_request)(internal::ExitRequest) = nullptr;

// Who ends the process: ForkGeneration in the upper half, so that a fork of a process that is ending may end by itself,
// and the thread's number in the lower one.
std::atomic<uint64_t> g_ending = 0;

void (*g_last_step)() = nullptr;

uint64_t ThisThread() { return ForkGeneration() << 32 | OwnThreadNumber(); }

bool FlushCout() {
  if (!std::cout.good()) return true;  // The target knows, or does not care.
  try {
    std::cout.flush();
    std::cerr.flush();
    std::clog.flush();
  } catch (const std::ios_base::failure&) {
    // For those who asked the stream to throw; its state says the same.
  }
  return std::cout.good();
}

// Whether nothing was printed that is not out yet. Not asked with locks, which are in a page that each child would copy: who prints
// from another thread at this moment cannot know whether it is in time.
bool NothingToFlush() {
#ifdef __GLIBC__
  // The C++ streams that keep nothing themselves.
  const auto keeps_nothing = [](const std::ostream& stream) {
    const std::streambuf* const buffer = stream.rdbuf();
    return buffer == nullptr || typeid(*buffer) == typeid(__gnu_cxx::stdio_sync_filebuf<char>);
  };
  return __fpending(stdout) == 0 && __fpending(stderr) == 0 && keeps_nothing(std::cout) && keeps_nothing(std::cerr) &&
         keeps_nothing(std::clog);
#else
  return false;
#endif
}

// Whether nothing is left to do but to end: no other thread can be ending the process, and nothing would run in which it could be
// ended again, or be forked. Then nobody asks who ends it, for which each child would copy a page, and have one of its own zeroed.
bool OnlyEnds() {
  return IsKnownToBeAlone() && g_ending.load() == 0 && !internal::HasFinalizers() && g_end_children.load() == nullptr &&
         !internal::LogsAt(LogLevel::kInfo) && NothingToFlush();
}

// False if something that was printed is lost.
bool FlushStreams() {
  if (NothingToFlush()) return true;
  errno = 0;
  // First: a flush of std::cout is one of stdout too, and keeps the error for itself.
  const bool flushed = std::fflush(stdout) == 0 && FlushCout();
  if (!flushed) std::fprintf(stderr, "output is lost: stdout: %s\n", std::strerror(errno));
  std::fflush(stderr);
  return flushed;
}

}  // namespace

void Exit() { internal::RequestExit({.code = 0, .text = std::nullopt}); }
void Exit(int code) { internal::RequestExit({.code = code, .text = std::nullopt}); }
void Exit(std::string_view text) { internal::RequestExit({.code = 1, .text = std::string(text)}); }

namespace internal {

void OnExitRequest(void (*take)(ExitRequest request)) { g_exit_request = take; }

void RequestExit(ExitRequest request) {
  if (g_exit_request != nullptr) g_exit_request(std::move(request));
  if (t_scopes > 0) throw request;
  EndProcess(ReportExit(request));
}

ExitScope::ExitScope() { ++t_scopes; }
ExitScope::~ExitScope() { --t_scopes; }

int ReportExit(const ExitRequest& request) {
  if (request.text.has_value()) {
    std::fprintf(stderr, "%s\n", request.text->c_str());
    return 1;
  }
  if (request.code >= 0 && request.code <= 255) return request.code;
  std::fprintf(stderr, "exit code %d is not possible: a process can tell 0 to 255\n", request.code);
  return 1;
}

void SetEndOfChildren(void (*end_children)()) {
  g_end_children = end_children;
  g_end_children_of = ForkGeneration();
}

void EndChildren() {
  if (g_end_children != nullptr && g_end_children_of == ForkGeneration()) g_end_children.load()();
}

void RunAtExit() {
  Log(LogLevel::kInfo, "process shutting down");
  Log(LogLevel::kDebug, "running all finalizers with priority >= 0");
  RunFinalizers(0);
  EndChildren();
  Log(LogLevel::kDebug, "running the remaining finalizers");
  RunFinalizers();
  EndChildren();  // A finalizer may have started some.
}

void EndProcess(int code) {
  // A rehearsal takes the longer way, so that both are known.
  if (g_last_step == nullptr && OnlyEnds()) EndOwnProcess(code);
  const uint64_t self = ThisThread();
  uint64_t other = g_ending.load();
  // One that is there twice is a finalizer that ends the process.
  while (other != self) {
    if (other != 0 && other >> 32 == self >> 32) SleepForEver();
    if (g_ending.compare_exchange_weak(other, self)) break;
  }
  RunAtExit();
  code = std::max(code, FlushStreams() ? 0 : 1);
  if (LogsAt(LogLevel::kInfo)) Log(LogLevel::kInfo, absl::StrCat("process exiting with exitcode ", code));
  if (g_last_step != nullptr) g_last_step();
  EndOwnProcess(code);
}

void OnLastStep(void (*last)()) { g_last_step = last; }

}  // namespace internal
}  // namespace brood
