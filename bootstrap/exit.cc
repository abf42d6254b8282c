#include "bootstrap/exit.h"

#include <unistd.h>

#include <cstdio>
#include <iostream>
#include <utility>

#include "bootstrap/finalizer.h"

namespace brood {
namespace {

thread_local int t_scopes = 0;

[[noreturn]] void Request(internal::ExitRequest request) {
  if (t_scopes > 0) throw request;
  internal::EndProcess(internal::ReportExit(request));
}

}  // namespace

void Exit() { Request({.code = 0, .text = std::nullopt}); }
void Exit(int code) { Request({.code = code, .text = std::nullopt}); }
void Exit(std::string_view text) { Request({.code = 1, .text = std::string(text)}); }

namespace internal {

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

void EndProcess(int code) {
  RunFinalizers();
  std::cout.flush();
  std::cerr.flush();
  std::clog.flush();
  std::fflush(stdout);
  std::fflush(stderr);
  _exit(code);
}

}  // namespace internal
}  // namespace brood
