"""Views of sounds: pure functions of sample, number and seed, and what each does."""

from __future__ import annotations

import numpy as np
import pytest
from wav_files import tones

from edgedistill.data import sound_views
from edgedistill.data.noise import OCTAVES, mixed, noise, noise_level
from edgedistill.data.preprocessing import AudioPreprocessing, ImagePreprocessing
from edgedistill.data.sound import preprocess
from edgedistill.data.sound_draws import drawn_sounds
from edgedistill.data.sound_views import ViewedSounds, varied
from edgedistill.data.transfer_set import Samples, TransferSet
from edgedistill.data.views import transfer_set
from edgedistill.errors import DataError
from edgedistill.recipe import AudioViews, Views

COUNT, LENGTH = 12, 4000
SHORT = AudioPreprocessing(seconds=0.25, mean=(-60.0,), std=(20.0,))
EVERYTHING = AudioViews(shift_ms=40, gain_db=6, snr_db=(0, 20), mask_ms=60, mask_bands=6)


def samples() -> Samples:
    return Samples(tones(COUNT, samples=LENGTH), np.arange(COUNT) % 3, ("a", "b", "c"), "sounds")


def heard(audio: AudioViews = EVERYTHING, *, seed: int = 0, mixup: float = 0.4) -> TransferSet:
    return transfer_set(samples(), SHORT, Views(count=3, mixup=mixup, audio=audio), seed)


def test_a_view_does_not_depend_on_what_else_or_how_often_is_asked_for() -> None:
    together = heard().batch(range(COUNT), view=1)
    again = heard()
    for index in reversed(range(COUNT)):
        again.batch([index], view=0)
        alone = again.batch([index, index], view=1)
        assert alone.inputs[0].tobytes() == alone.inputs[1].tobytes() == together.inputs[index].tobytes()


@pytest.mark.parametrize("kept", [0, 1 << 30])
def test_what_is_kept_in_memory_changes_no_bit_and_is_not_changed(kept: int, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = heard().batch(range(COUNT), view=2)
    monkeypatch.setattr(sound_views, "KEPT_BYTES", kept)
    views = heard()
    views.batch(range(COUNT), view=2).inputs[:] = 7
    assert views.batch(range(COUNT), view=2).inputs.tobytes() == wanted.inputs.tobytes()


def test_views_seeds_and_settings_differ_and_so_do_their_fingerprints() -> None:
    one, other = heard(), heard(seed=1)
    assert one.batch([0], view=0).inputs.tobytes() != one.batch([0], view=1).inputs.tobytes()
    assert one.batch([0], view=0).inputs.tobytes() != other.batch([0], view=0).inputs.tobytes()
    assert len({one.fingerprint, other.fingerprint, heard(AudioViews()).fingerprint}) == 3
    assert one.fingerprint == heard().fingerprint


def test_plain_sounds_are_the_device_s() -> None:
    plain = heard().plain(range(COUNT))
    assert plain.inputs.tobytes() == preprocess(samples().raw, SHORT.model_dump(mode="json")).tobytes()
    assert plain.inputs.shape == (COUNT, 1, 11, 40)
    none = heard(AudioViews(), mixup=0).batch(range(COUNT), view=0)
    assert none.inputs.tobytes() == plain.inputs.tobytes()


def test_a_sound_is_moved_and_made_louder() -> None:
    draw = drawn_sounds(COUNT, SHORT, AudioViews(shift_ms=40, gain_db=6), seed=0, view=0)
    assert draw.shift.min() < 0 < draw.shift.max()
    assert np.abs(draw.shift).max() <= 640
    assert 10 ** (-6 / 20) <= draw.gain.min() < 1 < draw.gain.max() <= 10 ** (6 / 20)
    for index, sound in enumerate(tones(COUNT, samples=LENGTH) // 4):
        moved = np.roll(sound, draw.shift[index]).astype(np.float64)
        moved[: draw.shift[index]] = 0 if draw.shift[index] > 0 else moved[: draw.shift[index]]
        if draw.shift[index] < 0:
            moved[draw.shift[index] :] = 0
        assert np.array_equal(varied(sound, draw, index), np.rint(moved * float(draw.gain[index])))


def test_masks_are_the_mean_and_no_longer_than_asked_for() -> None:
    audio = AudioViews(mask_ms=60, mask_bands=6)
    inputs, plain = heard(audio, mixup=0).batch(range(COUNT), view=0).inputs, heard().plain(range(COUNT)).inputs
    draw = drawn_sounds(COUNT, SHORT, audio, seed=0, view=0)
    assert (draw.masked_frames[:, 1].max(), draw.masked_bands[:, 1].max()) <= (3, 6)
    assert draw.masked_frames[:, 1].any()
    assert draw.masked_bands[:, 1].any()
    for index in range(COUNT):
        masked = np.zeros((11, 40), np.bool_)
        first, count = draw.masked_frames[index]
        masked[first : first + count] = True
        first, count = draw.masked_bands[index]
        masked[:, first : first + count] = True
        assert np.array_equal(inputs[index, 0], np.where(masked, 0, plain[index, 0]))


@pytest.mark.parametrize("kind", OCTAVES)
def test_noise_has_the_ratio_that_is_asked_for(kind: str) -> None:
    sound = tones(1)[0] // 8
    noisy = mixed(sound, kind, start=2**20 - 100, ratio=0.5)
    added = noisy.astype(np.float64) - sound
    ratio = np.sqrt((added**2).mean() / (sound.astype(np.float64) ** 2).mean())
    stretch = np.take(noise(kind), np.arange(2**20 - 100, 2**20 - 100 + len(sound)), mode="wrap").astype(np.float64)
    assert abs(ratio - 0.5 * np.sqrt((stretch**2).mean()) / noise_level(kind)) < 1e-3
    assert not mixed(np.zeros(100, np.int16), kind, start=0, ratio=1).any()


def test_lower_octaves_are_louder_as_the_table_says() -> None:
    for kind, slope_db in (("white", 0), ("pink", -3), ("rumble", -6)):
        power = np.abs(np.fft.rfft(noise(kind).astype(np.float64))) ** 2
        octaves = [power[1 << place : 2 << place].mean() for place in range(12, 17)]
        assert abs(np.polyfit(np.arange(5), 10 * np.log10(octaves), 1)[0] - slope_db) < 0.5


@pytest.mark.parametrize("views", [Views(flip=True), Views(shift=1), Views(crop=0.5), Views(drop_words=0.1)])
def test_other_views_are_refused(views: Views) -> None:
    with pytest.raises(DataError, match=r"'data.views.(flip|shift|crop|drop_words)'.*data.views.audio"):
        ViewedSounds(samples(), SHORT, views, 0)


def test_images_have_no_views_of_sounds() -> None:
    images = Samples(np.zeros((4, 3, 3, 1), np.uint8), np.arange(4) % 2, ("a", "b"), "images")
    with pytest.raises(DataError, match=r"'data.views.audio'.*samples are images"):
        transfer_set(images, ImagePreprocessing(size=(3, 3), channels=1), Views(audio=EVERYTHING), 0)


def test_samples_of_another_form_and_views_that_are_not_there_are_refused() -> None:
    wrong = Samples(np.zeros((4, 100), np.int16), np.arange(4) % 2, ("a", "b"), "sounds")
    with pytest.raises(DataError, match=r"wanted int16 \(4000,\)"):
        transfer_set(wrong, SHORT, Views(), 0)
    with pytest.raises(DataError, match="view 3"):
        heard().batch([0], view=3)
    with pytest.raises(DataError, match="sample 12"):
        heard().plain([12])
