// Runs of `brood run` under a policy file that changes a built-in policy: the parameter of the test.
#ifndef BROOD_TESTS_E2E_LAYERS_H_
#define BROOD_TESTS_E2E_LAYERS_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/e2e/brood_cli.h"
#include "tests/e2e/harness.h"

namespace brood {

// A policy file with `fields` over `base`, and runs under it.
class LayersTest : public testing::TestWithParam<const char*> {
 protected:
  std::vector<std::string> With(const std::string& fields, std::vector<std::string> options = {}) {
    const std::string file = directory_.path() + "/policy.json";
    Write(file, absl::StrCat("{\"extends\": \"", GetParam(), "\", ", fields, "}"));
    options.insert(options.end(), {"--policy", file, "--result", Result()});
    return options;
  }
  PlainRun Run(const std::string& fields, std::vector<std::string> argv, std::vector<std::string> options = {}) {
    return Brood(RunArgs(With(fields, std::move(options)), std::move(argv)));
  }
  std::string Result() const { return directory_.path() + "/result.json"; }

  TemporaryDirectory directory_;
};

}  // namespace brood

#endif  // BROOD_TESTS_E2E_LAYERS_H_
