// An exec that hangs, as on a file system that does not answer: here somebody holds a lease on the program, and whoever opens
// it waits until that is given up. fcntl(2), F_SETLEASE.
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/unique_fd.h"
#include "gtest/gtest.h"
#include "launcher/context.h"
#include "launcher/process.h"

namespace brood {
namespace {

struct Way {
  const char* policy;
  StartMethod method;
};

class HangingExecTest : public testing::TestWithParam<Way> {
 protected:
  void SetUp() override {
    char pattern[] = "/tmp/brood-test-XXXXXX";
    ASSERT_NE(mkdtemp(pattern), nullptr);
    directory_ = pattern;
    ASSERT_EQ(chmod(pattern, 0755), 0);
    program_ = directory_ + "/true";
    std::filesystem::copy_file("/bin/true", program_);
    Policy policy = BuiltinPolicy(GetParam().policy).value();
    if (policy.namespaces.contains(Layer::kMount)) policy.files.push_back({.source = directory_, .destination = directory_});
    policy_ = CompilePolicy(policy).value();
    // That somebody waits for a lease is told by a signal, which ends whoever does not expect it.
    before_ = signal(SIGIO, SIG_IGN);
  }
  void TearDown() override {
    lease_.reset();
    signal(SIGIO, before_);
    std::filesystem::remove_all(directory_);
  }

  void HoldUpWhoeverOpensIt() {
    lease_ = UniqueFd(open(program_.c_str(), O_RDWR | O_CLOEXEC));
    ASSERT_TRUE(lease_.valid());
    if (fcntl(lease_.get(), F_SETLEASE, F_WRLCK) != 0) GTEST_SKIP() << "no lease can be had here: " << strerror(errno);
  }
  // Once its holder was told.
  bool SomebodyWaits() const {
    const absl::Time end = absl::Now() + absl::Seconds(20);
    while (fcntl(lease_.get(), F_GETLEASE) == F_WRLCK) {
      if (absl::Now() > end) return false;
      absl::SleepFor(absl::Milliseconds(2));
    }
    return true;
  }
  absl::StatusOr<Process> Launch(const std::string& program) const {
    LaunchOptions options;
    options.argv = {program};
    options.policy = policy_;
    return GetParam().method == StartMethod::kForkServer ? Server().Launch(options) : Process::Launch(options);
  }
  static const Context& Server() {
    static const Context context(StartMethod::kForkServer);
    return context;
  }

  std::string directory_;
  std::string program_;
  std::shared_ptr<const CompiledPolicy> policy_;
  UniqueFd lease_;
  sighandler_t before_ = SIG_DFL;
};

INSTANTIATE_TEST_SUITE_P(Ways, HangingExecTest,
                         testing::Values(Way{"none", StartMethod::kSpawn}, Way{"strict", StartMethod::kSpawn}, Way{"default", StartMethod::kForkServer},
                                         Way{"strict", StartMethod::kForkServer}),
                         [](const auto& param) { return absl::StrCat(param.param.policy, param.param.method == StartMethod::kForkServer ? "_kept" : ""); });

TEST_P(HangingExecTest, HoldsUpNoOtherLaunch) {
  // What is made once is there.
  ASSERT_EQ(Launch("true")->Join().value().exit_code(), 0);
  HoldUpWhoeverOpensIt();
  if (IsSkipped()) return;
  std::thread hanging([&] { EXPECT_EQ(Launch(program_)->Join().value().exit_code(), 0); });
  EXPECT_TRUE(SomebodyWaits());
  const absl::Time begin = absl::Now();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Launch("true")->Join().value().exit_code(), 0);
  // The kernel takes a lease away after 45 s. proc(5), /proc/sys/fs/lease-break-time.
  EXPECT_LT(absl::Now() - begin, absl::Seconds(20));
  EXPECT_NE(fcntl(lease_.get(), F_GETLEASE), F_UNLCK) << "nothing hung any more";
  lease_.reset();
  hanging.join();
}

}  // namespace
}  // namespace brood
