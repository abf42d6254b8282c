// The main function of tests whose own binary is spawned: as a user's program has it.
#include "bootstrap/bootstrap.h"
#include "gtest/gtest.h"

int main(int argc, char** argv) {
  brood::Bootstrap(argc, argv);
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
