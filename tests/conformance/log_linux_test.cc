// What a parent logs of its children, seen from outside.
#include <sys/wait.h>
#include <unistd.h>

#include <string>

#include "bootstrap/log.h"
#include "tests/conformance/conformance.h"

namespace brood {
namespace {

using LogTest = ConformanceTest;
BROOD_FOR_EACH_START_METHOD(LogTest);

TEST_P(LogTest, AParentSaysWhatItStarts) {
  RawPipe pipe;
  const pid_t starter = fork();
  if (starter == 0) {
    dup2(pipe.writer.get(), STDERR_FILENO);
    LogToStderr(LogLevel::kInfo);
    const bool fine = context_.Call({.name = "worker"}, Nothing).ok();
    _exit(fine ? 0 : 1);
  }
  pipe.writer.reset();
  const std::string said = ReadToEnd(pipe.reader.get());
  EXPECT_EQ(said.find("[INFO/MainProcess] starting worker: Nothing\n"), 0u) << said;
  int status = -1;
  EXPECT_EQ(waitpid(starter, &status, 0), starter);
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace brood
