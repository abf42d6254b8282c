// A program that starts a child of itself where no program may: before Bootstrap, or without it. Were it not refused, each
// child would do the same. Prints what it is told. Arguments: METHOD early|never
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "bootstrap/bootstrap.h"
#include "bootstrap/target.h"
#include "launcher/context.h"
#include "launcher/default_context.h"

namespace {

void Nothing() {}
BROOD_TARGET(Nothing);

std::string StartOne(std::string_view method) {
  const absl::StatusOr<brood::StartMethod> parsed = brood::ParseStartMethod(method);
  if (!parsed.ok()) return parsed.status().ToString();
  return brood::Context(*parsed).Call(Nothing).ToString();
}

// Runs before main, in each process that executes this file.
const std::string early = [] {
  const char* const method = std::getenv("BROOD_STARTS_EARLY");
  if (method == nullptr) return std::string();
  std::fprintf(stderr, "here\n");
  return StartOne(method);
}();

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  if (std::string_view(argv[2]) == "early") {
    std::printf("%s\n", early.c_str());
    return 0;
  }
  std::fprintf(stderr, "here\n");
  std::printf("%s\n", StartOne(argv[1]).c_str());
  return 0;
}
