import dataclasses

import numpy as np
import torch

from policies.encoders import Eye, Language, Names, misheard, renamed
from policies.features import PAD, UNKNOWN
from policies.grounded import Grounded, alike
from policies.sampler import Sampler, describe
from robot.arms.so101 import so101

RED, BLUE, BLOCK, PUT = 2, 3, 4, 5


def words(*numbers, length=6):
    return torch.tensor(list(numbers) + [PAD] * (length - len(numbers)))


def test_the_look_of_a_name_is_the_mean_of_its_words():
    names = Names(8, 5, 2)
    looks = names.of(torch.stack([words(RED, BLOCK), words(BLUE), words()]))
    table = names.look.weight
    assert torch.allclose(looks[0], (table[RED] + table[BLOCK]) / 2)
    assert torch.allclose(looks[1], table[BLUE])
    assert torch.equal(looks[2], torch.zeros(5))


def test_an_instruction_points_at_its_words_alone():
    names = Names(8, 5, 2)
    looks = names(torch.stack([words(PUT, RED, BLOCK), words(BLUE)]))
    assert looks.shape == (2, 2, 5)
    assert torch.allclose(looks[1], names.look.weight[BLUE].expand(2, 5), atol=1e-6)  # padding is no word


def test_pointing_at_the_words_that_name_a_thing_can_be_learned_from_text_alone():
    torch.manual_seed(0)
    names, said = Names(8, 5, 2), torch.stack([words(PUT, RED, BLOCK), words(PUT, BLUE, BLOCK), words(PUT, BLOCK)])
    pointed = torch.zeros(3, 6, 2, dtype=torch.bool)
    pointed[:2, 1:3, 0] = True  # of the third nothing is known, and of no goal
    before = names.loss(said, pointed).item()
    optimizer = torch.optim.Adam(names.parameters(), 0.02)
    for _ in range(150):
        optimizer.zero_grad()
        names.loss(said, pointed).backward()
        optimizer.step()
    after = names.loss(said, pointed).item()
    assert before > 1.0 and abs(after - np.log(2)) < 0.02  # each of two words has a half
    red = names(said[:1])[0, 0]
    assert torch.allclose(red, names.look.weight[[RED, BLOCK]].mean(0), atol=0.1)


def test_words_that_were_not_heard_are_pointed_at_by_nobody():
    names, said = Names(8, 5, 2), words(PUT, UNKNOWN, BLOCK)[None]
    pointed = torch.zeros(1, 6, 2, dtype=torch.bool)
    pointed[0, 1, 0] = True
    assert names.loss(said, pointed).item() == 0.0
    pointed[0, 2, 0] = True
    assert 0.0 < names.loss(said, pointed).item() < 3.0


def test_an_unknown_word_looks_like_nothing():
    names = Names(8, 5, 2)
    assert torch.equal(names(words(PUT, RED, UNKNOWN)[None]), names(words(PUT, RED)[None]))
    assert torch.equal(names(words(UNKNOWN)[None]), torch.zeros(1, 2, 5))
    assert torch.equal(names.of(words(UNKNOWN, RED)), names.of(words(RED)))


def test_alike_is_highest_where_the_key_points_the_same_way():
    keys = torch.zeros(1, 3, 4, 4)
    keys[0, :, 1, 2] = torch.tensor([1.0, -2.0, 0.5])
    map_ = alike(torch.tensor([[[1.0, -2.0, 0.5], [0.0, 1.0, 0.0]]]), keys)
    assert map_.shape == (1, 2, 4, 4)
    assert int(map_[0, 0].argmax()) == 6 and float(map_[0, 1, 1, 2]) == -2.0


def test_keys_do_not_depend_on_what_was_asked():
    torch.manual_seed(0)
    eye, rgb = Eye(8, 16, 1, 1, 4, keys=3), torch.rand(2, 3, 32, 32)
    one, two = (eye(rgb, torch.randn(2, 16)) for _ in range(2))
    assert one[2].shape == (2, 3, 8, 8) and torch.equal(one[2], two[2])
    assert not torch.allclose(one[0], two[0])
    assert Eye(8, 16, 1, 1, 4)(rgb, torch.randn(2, 16))[2] is None


def test_words_are_dropped_only_where_a_generator_chooses():
    torch.manual_seed(0)
    language, text = Language(8, dropout=1.0), words(PUT, RED, BLOCK)[None]
    unknown = language(torch.where(text == PAD, PAD, UNKNOWN))
    assert torch.allclose(language(text, torch.Generator().manual_seed(0)), unknown)
    assert not torch.allclose(language(text), unknown)


def test_every_named_thing_teaches_what_its_words_look_like(toy):
    features = describe(toy, ("front", "wrist"), np.arange(12), so101())
    torch.manual_seed(0)
    policy = Grounded(features, horizon=8, width=8, fine=1, coarse=1, hidden=16, depth=1, heads=2, match=8)
    optimizer = torch.optim.Adam(policy.parameters(), lr=3e-3)
    sampler = Sampler(toy, features, np.arange(12), 8, seed=0, batch=32, rows=8, swap=policy.apart)
    seen = []
    for step in range(60):
        losses = policy(*sampler.step(step), torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        optimizer.step()
        seen.append(float(losses["names"].detach()))
    assert np.mean(seen[-5:]) < 0.8 * seen[0]  # 4.8 is the least that a blob allows
    query = policy.names.look.weight.detach()
    index = {word: k for k, word in enumerate(features.words)}
    colours = query[[index[c] for c in ("red", "green", "blue")]]
    red, green = (colours - colours.mean(0))[:2]
    assert float(torch.cosine_similarity(red, green, dim=0)) < 0.0


def test_data_without_named_things_teach_as_before(toy):
    plain = dataclasses.replace(toy, aux={k: v for k, v in toy.aux.items() if not k.startswith("things")})
    features = describe(plain, ("front", "wrist"), np.arange(12), so101())
    policy = Grounded(features, horizon=8, width=8, fine=1, coarse=1, hidden=16, depth=1, heads=2, match=8)
    sampler = Sampler(plain, features, np.arange(12), 8, seed=0, batch=4, rows=8, swap=policy.apart)
    losses = policy(*sampler.step(0), torch.Generator().manual_seed(0))
    assert "names" not in losses and all(torch.isfinite(v) for v in losses.values())


def test_a_share_of_instructions_is_misheard_but_for_the_names_in_them():
    said = words(PUT, RED, BLOCK)[None].expand(2000, -1)
    names = torch.stack([words(RED, BLOCK, length=4), words(BLUE, BLOCK, length=4)]).expand(2000, -1, -1)
    heard = misheard(said, names, torch.Generator().manual_seed(0), share=0.5)
    lost = heard == UNKNOWN
    assert 0.2 < float(lost[:, 0].float().mean()) < 0.3  # half of the instructions, half of their words
    assert 0.2 < float(lost[:, 2].float().mean()) < 0.3  # both things are blocks: red is what tells them apart
    assert not lost[:, [1, 3, 4, 5]].any() and torch.equal(heard[~lost], said[~lost])
    alone = misheard(said, None, torch.Generator().manual_seed(0), share=0.5) == UNKNOWN
    assert 0.2 < float(alone[:, :3].float().mean()) < 0.3 and not alone[:, 3:].any()
    whole = (~alone[:, :3]).all(1).float().mean()
    assert float(whole) > 0.55  # many words of some, rather than a few of all


PEG, ON, GREEN = 6, 7, 8


def test_things_get_other_samples_names_where_they_stand():
    said = torch.stack([words(PUT, RED, BLOCK, ON, BLUE, BLOCK), words(GREEN, PEG, ON), words(PUT, ON)])
    pointed = torch.zeros(3, 6, 2, dtype=torch.bool)
    pointed[0, 1:3, 0] = pointed[0, 4:6, 1] = pointed[1, :2, 0] = True
    many = (renamed(said, pointed, torch.Generator().manual_seed(k), 0.7) for k in range(60))
    seen = {tuple(map(tuple, one.tolist())) for one in many}
    names = {(RED, BLOCK), (GREEN, PEG), (BLUE, BLOCK)}
    for first, second, third in seen:
        assert first[0] == PUT and first[3] == ON and second[2:] == (ON, PAD, PAD, PAD)
        assert {first[1:3], first[4:6], second[:2]} <= names and first[1:3] != first[4:6]
        assert third == tuple(said[2].tolist())  # of which nothing is known
    assert {first[4:6] for first, _, _ in seen} == names  # a goal too
    assert {second[:2] for _, second, _ in seen} == {(RED, BLOCK), (GREEN, PEG)}  # targets give their names away


def test_names_of_another_length_are_left():
    said = torch.stack([words(PUT, RED, BLOCK), words(PEG, ON)])
    pointed = torch.zeros(2, 6, 2, dtype=torch.bool)
    pointed[0, 1:3, 0] = pointed[1, 0, 0] = True
    for k in range(10):
        assert torch.equal(renamed(said, pointed, torch.Generator().manual_seed(k), 1.0), said)


def test_no_share_changes_nothing(toy):
    features = describe(toy, ("front", "wrist"), np.arange(12), so101())
    _, rows = Sampler(toy, features, np.arange(12), horizon=8, seed=0, batch=4, rows=64).step(0)
    assert torch.equal(renamed(rows["words"], rows["pointed"], torch.Generator(), 0.0), rows["words"])
