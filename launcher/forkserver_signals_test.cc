// Signals for a forkserver: those that a terminal sends to all (test_forkserver_sigint), and those for its end.
#include <signal.h>
#include <unistd.h>

#include "base/unique_fd.h"
#include "bootstrap/target.h"
#include "gtest/gtest.h"
#include "launcher/context.h"
#include "launcher/forkserver_testing.h"

namespace brood {
namespace {

BROOD_TARGET(ServerAbove);

void WaitForEnd(const UniqueFd& pipe) {
  char byte;
  while (read(pipe.get(), &byte, 1) != 0) {
  }
}
BROOD_TARGET(WaitForEnd);

TEST(ForkServerSignalsTest, WhatATerminalSendsEndsNeitherTheServerNorItsChildren) {
  const Context context(StartMethod::kForkServer);
  const int server = context.Call(ServerAbove).value();
  ASSERT_GT(server, 0);
  int ends[2] = {-1, -1};
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  const UniqueFd reader(ends[0]);
  UniqueFd writer(ends[1]);
  Process running = context.Start(WaitForEnd, reader).value();
  for (const int number : {SIGINT, SIGQUIT, SIGHUP, SIGTSTP}) {
    ASSERT_EQ(kill(server, number), 0);
    EXPECT_EQ(context.Call(ServerAbove).value(), server) << "after signal " << number;
  }
  EXPECT_TRUE(running.IsAlive());
  writer.reset();
  EXPECT_EQ(running.Join()->exit_code(), 0);
}

}  // namespace
}  // namespace brood
