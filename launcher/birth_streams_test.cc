// What the parent has in the buffers of its streams when a child is born.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <iostream>
#include <string>

#include "base/unique_fd.h"
#include "bootstrap/bootstrap.h"
#include "gtest/gtest.h"
#include "launcher/context.h"

namespace brood {
namespace {

void SayByCout(std::string text) { std::cout << text; }
BROOD_TARGET(SayByCout);

void SayByStdio(std::string text) { std::fputs(text.c_str(), stdout); }
BROOD_TARGET(SayByStdio);

std::string Contents(int fd) {
  char buffer[256];
  const ssize_t n = pread(fd, buffer, sizeof(buffer), 0);
  return std::string(buffer, static_cast<size_t>(n > 0 ? n : 0));
}

class BirthStreamsTest : public testing::TestWithParam<StartMethod> {
 protected:
  // stdout is a file in memory meanwhile.
  void SetUp() override {
    std::fflush(stdout);
    std::cout.flush();
    before_.reset(dup(1));
    memory_.reset(memfd_create("stdout", MFD_CLOEXEC));
    ASSERT_GE(dup2(memory_.get(), 1), 0);
  }
  void TearDown() override {
    std::fflush(stdout);
    std::cout.flush();
    dup2(before_.get(), 1);
  }
  UniqueFd before_, memory_;
  const Context context_{GetParam()};
};

TEST_P(BirthStreamsTest, WhatWasSaidBeforeTheBirthComesFirst) {
  std::fputs("parent ", stdout);
  const absl::Status called = context_.Call(SayByStdio, "child");
  EXPECT_TRUE(called.ok()) << called;
  EXPECT_EQ(Contents(memory_.get()), "parent child");
}

TEST_P(BirthStreamsTest, AStreamWithItsOwnBufferIsNotWrittenTwice) {
  std::cout << "parent ";
  const absl::Status called = context_.Call(SayByCout, "child ");
  EXPECT_TRUE(called.ok()) << called;
  std::cout.flush();
  const std::string all = Contents(memory_.get());
  EXPECT_TRUE(all == "parent child " || (all == "child parent " && GetParam() != StartMethod::kFork)) << all;
}

INSTANTIATE_TEST_SUITE_P(StartMethods, BirthStreamsTest,
                         testing::Values(StartMethod::kSpawn, StartMethod::kFork, StartMethod::kForkServer));

}  // namespace
}  // namespace brood

int main(int argc, char** argv) {
  std::ios::sync_with_stdio(false);
  brood::Bootstrap(argc, argv);
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
