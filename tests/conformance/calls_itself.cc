// A program that calls one of its functions by METHOD, and prints what that gave; with "and-loses-itself" it removes its
// file first (Windows: gives it another name), with "and-replaces-itself" another one has its place; anything else is the file
// in which the function is looked for. Arguments: METHOD [and-loses-itself|and-replaces-itself|FILE]
#include <cstdio>
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>

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
  const std::string_view how = argc == 3 ? argv[2] : "";
  if (how == "and-loses-itself") {
    std::error_code error;
    // Windows keeps the file of a program that runs, but not its name.
    if (!std::filesystem::remove(argv[0], error)) std::filesystem::rename(argv[0], std::string(argv[0]) + ".lost", error);
    if (error) return 3;
  } else if (how == "and-replaces-itself") {
    std::filesystem::remove(argv[0]);
    std::filesystem::copy_file("/bin/false", argv[0]);
  } else {
    options.executable = how;
  }
  const absl::StatusOr<brood::StartMethod> method = brood::ParseStartMethod(argv[1]);
  if (!method.ok()) return 2;
  const absl::StatusOr<int> squared = brood::Context(*method, options).Call(Square, 7);
  std::printf("%s\n", squared.ok() ? std::to_string(*squared).c_str() : squared.status().ToString().c_str());
  return 0;
}
