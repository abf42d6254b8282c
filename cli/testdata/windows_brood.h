// Runs the brood program for end-to-end tests on Windows. Programs for it to run are the test itself, with a first argument.
#ifndef BROOD_CLI_TESTDATA_WINDOWS_BROOD_H_
#define BROOD_CLI_TESTDATA_WINDOWS_BROOD_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/unique_fd.h"
#include "launcher/process.h"

namespace brood {

// What brood printed and its exit status.
struct Finished {
  int64_t exit_code = 0;
  std::string out;
  std::string err;
};

// Ends brood if it is still running when it goes.
class StartedBrood {
 public:
  explicit StartedBrood(const std::vector<std::string>& args, std::string_view input = "");

  // At once: none of its code runs any more. What it has started ends by Wait, if not by brood's own job.
  void Kill();
  Finished Wait();

 private:
  UniqueFd input_;
  std::optional<Process> process_;
};

Finished RunBrood(const std::vector<std::string>& args, std::string_view input = "");

// The program of the test.
std::string OwnPath();

// A DLL of tests/plugins.
std::string PluginPath(std::string_view name);

// Of this process, in UTF-8.
std::vector<std::string> OwnArguments();

// A new file with `content` in a folder of the test's own; gives its path.
std::string TempFile(std::string_view name, std::string_view content);
std::string TempPath(std::string_view name);

// Everything in a file; "" if there is none.
std::string FileContent(const std::string& path);

}  // namespace brood

#endif  // BROOD_CLI_TESTDATA_WINDOWS_BROOD_H_
