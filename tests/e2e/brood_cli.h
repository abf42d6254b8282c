// The brood program, as tests of its command line run it.
#ifndef BROOD_TESTS_E2E_BROOD_CLI_H_
#define BROOD_TESTS_E2E_BROOD_CLI_H_

#include <string>
#include <string_view>
#include <vector>

#include "tests/e2e/harness.h"

namespace brood {

// Bazel's, or the copy that BROOD_TEST_CLI names.
std::string BroodPath();

PlainRun Brood(std::vector<std::string> args);

// `brood run OPTIONS -- PROGRAM ARGS` of one of tests/programs.
std::vector<std::string> RunArgs(std::vector<std::string> options, std::vector<std::string> argv);

// Its exit code.
int RunCode(std::vector<std::string> options, std::vector<std::string> argv);

std::string FileContent(const std::string& path);  // "" if there is no such file.
void Write(const std::string& path, std::string_view text);

}  // namespace brood

#endif  // BROOD_TESTS_E2E_BROOD_CLI_H_
