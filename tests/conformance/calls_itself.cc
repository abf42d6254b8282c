// A program that calls one of its functions by METHOD, and prints what that gave; with "and-loses-itself" it removes its
// file first, with anything else that is the file in which the function is looked for. Arguments: METHOD
// [and-loses-itself|FILE]
#include <unistd.h>

#include <cstdio>
#include <string>
#include <string_view>

#include "bootstrap/bootstrap.h"
#include "bootstrap/target.h"
#include "launcher/context.h"
#include "launcher/default_context.h"

namespace {

int Square(int x) { return x * x; }
BROOD_TARGET(Square);

}  // namespace

int main(int argc, char** argv) {
  brood::Bootstrap(argc, argv);
  if (argc < 2) return 2;
  brood::ContextOptions options;
  if (argc == 3 && std::string_view(argv[2]) == "and-loses-itself") {
    if (unlink(argv[0]) != 0) return 3;
  } else if (argc == 3) {
    options.executable = argv[2];
  }
  const absl::StatusOr<brood::StartMethod> method = brood::ParseStartMethod(argv[1]);
  if (!method.ok()) return 2;
  const absl::StatusOr<int> squared = brood::Context(*method, options).Call(Square, 7);
  std::printf("%s\n", squared.ok() ? std::to_string(*squared).c_str() : squared.status().ToString().c_str());
  return 0;
}
