"use strict";
// Stored pictures behind a slider, where a widget cannot live on a page: a training is watched, not run, here.
{
  const { Widget, h, slider, load_script, folder } = Live;

  const sets = {}; // the set's name -> its frames: label, file, width, alt, html

  /** What the scripts of the pictures call. */
  function pictures(name, frames) {
    sets[name] = frames;
  }

  class PictureSlider extends Widget {
    constructor(place, frames, { control }) {
      super(place, "picture-slider");
      const show = (i) => this.frames[i].label;
      this.frames = frames;
      this.position = slider(control, { value: 0, min: 0, max: frames.length - 1, show, on: () => this.redraw() });
      this.image = h("img");
      this.page = h("div", { class: "live-picture-page" });
      this.show(this.position, this.image, this.page);
      this.redraw();
      for (const { file } of frames) new Image().src = folder + file; // the slider moves without waiting
    }

    redraw() {
      const frame = this.frames[this.position.value];
      this.image.src = folder + frame.file;
      this.image.width = frame.width;
      this.image.alt = frame.alt;
      this.page.innerHTML = frame.html; // from the book's own widget, in which every text is escaped
      this.state = frame;
    }
  }

  Object.assign(Live, { pictures });
  Live.widgets.pictures = async (place, options) => {
    await load_script(`pictures-${options.set}.js`);
    new PictureSlider(place, sets[options.set], options);
  };
}
