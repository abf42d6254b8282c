// Runs the brood program for end-to-end tests, as a shell would.
#ifndef BROOD_CLI_TESTDATA_BROOD_UNDER_TEST_H_
#define BROOD_CLI_TESTDATA_BROOD_UNDER_TEST_H_

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

#include "base/unique_fd.h"

namespace brood {

// What brood printed and its exit status; -N if signal N ended it.
struct Finished {
  int exit_code = 0;
  std::string out;
  std::string err;
};

// Kills brood if it is still running when it goes.
class StartedBrood {
 public:
  explicit StartedBrood(const std::vector<std::string>& args, std::string_view input = "",
                        const std::string& program = "cli/brood");
  ~StartedBrood();

  // What came on standard output up to and including the next line feed, waiting for it.
  std::string ReadLine();
  void Signal(int signal);
  // Waits until it waits for something itself.
  void AwaitSleep() const;
  // Closes this side of standard output.
  void CloseOutput() { out_.reset(); }
  // Waits for the end; `out` is what ReadLine has not given.
  Finished Wait();

 private:
  pid_t pid_ = -1;
  UniqueFd out_;
  UniqueFd err_;  // A file, so that nothing blocks on it.
};

Finished RunBrood(const std::vector<std::string>& args, std::string_view input = "");

// The absolute path of one of the test's runfiles, symbolic links resolved: usable as --ro SRC.
std::string Resolved(const std::string& path);

// That of one of tests/programs.
std::string Helper(std::string_view name);

// A new file with `content` in the test's own directory; gives its path.
std::string TempFile(std::string_view name, std::string_view content);

// Everything in a file; "" if there is none.
std::string FileContent(const std::string& path);

}  // namespace brood

#endif  // BROOD_CLI_TESTDATA_BROOD_UNDER_TEST_H_
