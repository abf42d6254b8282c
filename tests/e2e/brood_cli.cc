#include "tests/e2e/brood_cli.h"

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "cli/runfiles.h"

namespace brood {

std::string BroodPath() {
  if (const char* copied = getenv("BROOD_TEST_CLI"); copied != nullptr) return copied;
  return std::filesystem::canonical(RunfilesDirectory("cli").value() + "/brood").string();
}

PlainRun Brood(std::vector<std::string> args) {
  args.insert(args.begin(), BroodPath());
  return RunPlain(args);
}

std::vector<std::string> RunArgs(std::vector<std::string> options, std::vector<std::string> argv) {
  std::vector<std::string> args = {"run"};
  args.insert(args.end(), options.begin(), options.end());
  args.insert(args.end(), {"--ro", absl::StrCat(ProgramPath(argv[0]), ":", ProgramInside(argv[0])), "--"});
  argv[0] = ProgramInside(argv[0]);
  args.insert(args.end(), argv.begin(), argv.end());
  return args;
}

int RunCode(std::vector<std::string> options, std::vector<std::string> argv) {
  return Brood(RunArgs(std::move(options), std::move(argv))).code;
}

std::string FileContent(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
}

void Write(const std::string& path, std::string_view text) { std::ofstream(path, std::ios::binary) << text; }

}  // namespace brood
