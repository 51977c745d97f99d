# SPDX-License-Identifier: MIT
"""A DataLoader with two workers, three epochs: samples of the script's own data set, and what augmenting draws."""
import sys

import torch
from torch.utils.data import DataLoader, Dataset


class Numbers(Dataset):
    def __len__(self):
        return 64

    def __getitem__(self, index):
        return torch.full((8,), float(index)) + torch.rand(8), index


def main(method, persistent):
    torch.manual_seed(7)
    loader = DataLoader(Numbers(), batch_size=8, shuffle=True, num_workers=2, multiprocessing_context=method,
                        persistent_workers=persistent)
    for epoch in range(3):
        total, order = 0.0, []
        for values, indices in loader:
            total += values.sum().item()
            order += indices.tolist()
        print(epoch, f"{total:.3f}", order[:8], sorted(order) == list(range(64)), flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(sys.argv[1], False)
    main(sys.argv[1], True)
